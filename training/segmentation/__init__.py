"""Training segmenters."""
