"""Measures models and machines: quality, importance, pruning, speed. For the command line."""
