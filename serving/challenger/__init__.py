"""A second version beside the champion: which requests it answers, and which it is asked about without being heard."""
