"""KV cache of prompts on disk: segments of 256 tokens that a later context restores bit for bit."""
