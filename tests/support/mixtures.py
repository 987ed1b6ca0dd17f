"""A tiny mixture of experts in Qwen3's architecture."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from support.gguf_files import BLOCKS, EMBEDDING, HEADS, HEADS_KV, byte_pair_writer, write

EXPERTS, USED, WIDTH = 8, 2, 40  # slices end inside pages, some are smaller than a page


def tiny_qwen3moe(path: Path, *, seed: int = 6) -> Path:
    """A `qwen3moe` model with eight experts, of which two are used, at `path`."""
    writer, tokens = byte_pair_writer(path, "qwen3moe")
    writer.add_expert_count(EXPERTS)
    writer.add_expert_used_count(USED)
    writer.add_expert_feed_forward_length(WIDTH)
    random = np.random.default_rng(seed)

    def add(name: str, *shape: int, quantised: bool = False) -> None:
        data = random.standard_normal(shape, dtype=np.float32) * 0.1
        if quantised:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(data, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, data)

    head = EMBEDDING // HEADS
    add("token_embd.weight", tokens, EMBEDDING, quantised=True)
    add("output_norm.weight", EMBEDDING)
    add("output.weight", tokens, EMBEDDING)
    for block in range(BLOCKS):
        name = f"blk.{block}."
        add(name + "attn_norm.weight", EMBEDDING)
        add(name + "attn_q.weight", EMBEDDING, EMBEDDING, quantised=True)
        add(name + "attn_k.weight", head * HEADS_KV, EMBEDDING)
        add(name + "attn_v.weight", head * HEADS_KV, EMBEDDING)
        add(name + "attn_q_norm.weight", head)
        add(name + "attn_k_norm.weight", head)
        add(name + "attn_output.weight", EMBEDDING, EMBEDDING, quantised=True)
        add(name + "ffn_norm.weight", EMBEDDING)
        add(name + "ffn_gate_inp.weight", EXPERTS, EMBEDDING)
        add(name + "ffn_gate_exps.weight", EXPERTS, WIDTH, EMBEDDING, quantised=True)
        add(name + "ffn_up_exps.weight", EXPERTS, WIDTH, EMBEDDING)
        add(name + "ffn_down_exps.weight", EXPERTS, EMBEDDING, WIDTH)
    return write(writer)
