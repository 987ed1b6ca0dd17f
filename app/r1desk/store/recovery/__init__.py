"""Recovers messages from a damaged database."""
