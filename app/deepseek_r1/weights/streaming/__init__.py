"""Moves weights between the model file and memory."""
