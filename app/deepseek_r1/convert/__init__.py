"""Converts a Hugging Face folder, or a GGUF file of another precision, to a GGUF file."""
