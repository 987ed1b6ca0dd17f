"""The starter with its first blocks alone: the same way through the engine, a tenth of the work.

Vocabulary, template, shapes and quantisation are the starter's; what it says has no meaning.
"""

from __future__ import annotations

from pathlib import Path

from support.raw_gguf import U32, RawGguf

BLOCKS = 3


def shallow(starter: Path, path: Path) -> Path:
    """Write the first blocks of `starter` to `path`, with what stands around them."""
    model = RawGguf.parse(starter.read_bytes()).set("llama.block_count", U32, BLOCKS)
    kept = tuple(f"blk.{block}.".encode() for block in range(BLOCKS))
    model.tensors = [
        each
        for each in model.tensors
        if each.name.startswith(kept) or not each.name.startswith(b"blk.")
    ]
    return model.lay_out().write(path)
