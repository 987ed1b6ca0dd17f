"""A tiny mixture of experts in Qwen3's architecture."""

from __future__ import annotations

from pathlib import Path

from support.gguf_files import byte_pair_writer, finish

EXPERTS, USED, WIDTH = 8, 2, 40  # slices end inside pages, some are smaller than a page


def tiny_qwen3moe(path: Path, *, seed: int = 6) -> Path:
    """A `qwen3moe` model with eight experts, of which two are used, at `path`."""
    writer, tokens = byte_pair_writer(path, "qwen3moe")
    writer.add_expert_count(EXPERTS)
    writer.add_expert_used_count(USED)
    writer.add_expert_feed_forward_length(WIDTH)
    return finish(writer, tokens, seed, head_norms=True, experts=EXPERTS, width=WIDTH)
