"""Widgets of the list of conversations."""
