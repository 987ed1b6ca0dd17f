"""Widgets for choosing, downloading and loading a model."""
