"""Widgets of the performance panel and the gauge."""
