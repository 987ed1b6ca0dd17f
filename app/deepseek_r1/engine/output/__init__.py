"""Turns tokens into the events of an answer."""
