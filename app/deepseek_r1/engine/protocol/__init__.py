"""What an engine is to its callers."""
