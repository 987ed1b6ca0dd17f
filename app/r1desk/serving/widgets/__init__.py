"""Widgets of the server."""
