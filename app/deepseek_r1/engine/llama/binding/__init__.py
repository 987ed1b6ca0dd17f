"""llama.cpp's library, model, context and sampler."""
