"""Decides which weights stay in memory, and streams the others from the disk in time."""
