"""Continuous batching: several answers in one KV cache, a token of each in every computation."""
