"""Tiny mixtures of experts, in Qwen3's architecture and in DeepSeek's own."""

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np

from support.gguf_files import (
    EMBEDDING,
    FEED_FORWARD,
    HEADS,
    byte_pair_writer,
    finish,
    write,
)

EXPERTS, USED, WIDTH = 8, 2, 40  # of Qwen3's: slices end inside pages, some are smaller than a page
LATENT, ROTATED, NOPE, VALUE, QUERY = 32, 16, 16, 16, 32  # of DeepSeek's, as all below
ROUTED, ROUTED_WIDTH, BLOCKS = 4, 64, 3


def tiny_qwen3moe(path: Path, *, seed: int = 6) -> Path:
    """A `qwen3moe` model with eight experts, of which two are used, at `path`."""
    writer, tokens = byte_pair_writer(path, "qwen3moe")
    writer.add_expert_count(EXPERTS)
    writer.add_expert_used_count(USED)
    writer.add_expert_feed_forward_length(WIDTH)
    return finish(writer, tokens, seed, head_norms=True, experts=EXPERTS, width=WIDTH)


def _random_weights(writer: gguf.GGUFWriter, tokens: int, seed: int) -> Callable[..., None]:
    """Add the weights around the blocks; returns a function that adds one of a name and a shape."""
    random = np.random.default_rng(seed)

    def add(name: str, *shape: int) -> None:
        writer.add_tensor(name, random.standard_normal(shape, dtype=np.float32) * 0.1)

    add("token_embd.weight", tokens, EMBEDDING)
    add("output_norm.weight", EMBEDDING)
    add("output.weight", tokens, EMBEDDING)
    return add


def tiny_deepseek2(path: Path, *, seed: int = 5) -> Path:
    """A `deepseek2` model as llama.cpp's converter writes it, its first block dense, at `path`."""
    writer, tokens = byte_pair_writer(path, "deepseek2")
    for key in ("block_count", "attention.head_count_kv", "rope.dimension_count"):
        for keys in writer.kv_data:
            keys.pop(f"deepseek2.{key}", None)
    writer.add_block_count(BLOCKS)
    writer.add_head_count_kv(1)
    writer.add_rope_dimension_count(ROTATED)
    writer.add_leading_dense_block_count(1)
    writer.add_q_lora_rank(QUERY)
    writer.add_kv_lora_rank(LATENT)
    writer.add_key_length(LATENT + ROTATED)
    writer.add_value_length(LATENT)
    writer.add_key_length_mla(NOPE + ROTATED)
    writer.add_value_length_mla(VALUE)
    writer.add_expert_feed_forward_length(ROUTED_WIDTH)
    writer.add_expert_count(ROUTED)
    writer.add_expert_used_count(2)
    writer.add_expert_shared_count(1)
    writer.add_expert_weights_scale(1.0)
    writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
    add = _random_weights(writer, tokens, seed)
    for block in range(BLOCKS):
        name = f"blk.{block}."
        add(name + "attn_norm.weight", EMBEDDING)
        add(name + "attn_q_a_norm.weight", QUERY)
        add(name + "attn_kv_a_norm.weight", LATENT)
        add(name + "attn_q_a.weight", QUERY, EMBEDDING)
        add(name + "attn_q_b.weight", HEADS * (NOPE + ROTATED), QUERY)
        add(name + "attn_kv_a_mqa.weight", LATENT + ROTATED, EMBEDDING)
        add(name + "attn_k_b.weight", HEADS, LATENT, NOPE)
        add(name + "attn_v_b.weight", HEADS, VALUE, LATENT)
        add(name + "attn_output.weight", EMBEDDING, HEADS * VALUE)
        add(name + "ffn_norm.weight", EMBEDDING)
        if block == 0:
            add(name + "ffn_gate.weight", FEED_FORWARD, EMBEDDING)
            add(name + "ffn_down.weight", EMBEDDING, FEED_FORWARD)
            add(name + "ffn_up.weight", FEED_FORWARD, EMBEDDING)
            continue
        add(name + "ffn_gate_inp.weight", ROUTED, EMBEDDING)
        add(name + "exp_probs_b.bias", ROUTED)
        for kind, *shape in (("gate", ROUTED_WIDTH, EMBEDDING), ("up", ROUTED_WIDTH, EMBEDDING),
                             ("down", EMBEDDING, ROUTED_WIDTH)):  # fmt: skip
            add(name + f"ffn_{kind}_exps.weight", ROUTED, *shape)
            add(name + f"ffn_{kind}_shexp.weight", *shape)
    return write(writer)
