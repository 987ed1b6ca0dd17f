"""Turning models into GGUF files: from a Hugging Face folder, or from a GGUF of another precision.

`job.convert` is the whole of it. Sources (`folder_source`, `gguf_source`) describe their tensors
without reading them; `precision` says how each is stored; `output` writes them, a few rows at a
time, so that a file of any size passes through a fixed amount of memory.
"""
