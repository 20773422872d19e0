"""What networks of all architectures share."""
