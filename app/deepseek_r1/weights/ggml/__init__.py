"""ggml's structures in memory: tensors and buffer types."""
