"""Reads a model file's header without loading it. Pure Python: every byte may be hostile."""
