"""One data source per file."""
