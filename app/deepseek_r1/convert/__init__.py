"""Converts a Hugging Face folder, or a GGUF file of another precision, to a GGUF file.

`job.convert` runs a conversion. Sources (`hf.folder_source`, `gguf_source`) describe their
tensors without reading them. `precision` chooses the type of each tensor. `gguf_writer` writes
them a few rows at a time, so that a file of any size needs a fixed amount of memory.
"""
