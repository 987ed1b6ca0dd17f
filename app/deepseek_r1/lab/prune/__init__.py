"""Prunes feed-forward channels and blocks."""
