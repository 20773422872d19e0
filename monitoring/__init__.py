"""Whether reality still looks like training."""
