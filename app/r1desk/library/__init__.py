"""Choosing a model: what is on this computer, and what can be fetched."""
