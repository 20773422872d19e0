"""A sample of what came and what was answered, kept in files: the layout is that of monitoring/captured.py."""
