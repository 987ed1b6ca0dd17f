"""Choosing, downloading and loading a model."""
