"""What a model file says, read without loading it. Pure Python: every byte may be hostile."""
