"""The contract between an engine and its callers."""
