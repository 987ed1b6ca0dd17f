"""Connects the window to the engine's host process."""
