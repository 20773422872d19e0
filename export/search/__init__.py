"""Searching for the export of a trained model: which techniques, with which options, make it fastest and still pass."""
