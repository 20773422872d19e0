"""Searches: many trials of a recipe with other values in some of its fields, and which of them are worth having."""
