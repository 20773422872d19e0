"""The console: a page for people who run models, and the JSON behind it."""
