"""Reads Hugging Face folders: configuration, tokenizer and safetensors."""
