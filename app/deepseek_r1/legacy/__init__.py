"""Models from before today's GGUF, computed by ctransformers."""
