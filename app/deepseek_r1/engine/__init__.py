"""Engines: what computes a model, and what turns its tokens into an answer."""
