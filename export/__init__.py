"""The bridge from torch to the runtimes."""
