"""Where models live, and in what format."""
