"""Describes Qwen3's mixtures of experts."""

from __future__ import annotations

from deepseek_r1.convert.gguf.key_values import u32
from deepseek_r1.convert.hf.checkpoint import Weights
from deepseek_r1.convert.hf.config import Config
from deepseek_r1.convert.hf.families.dense import attention, head_keys
from deepseek_r1.convert.hf.families.description import (
    ModelDescription,
    Sizes,
    ends,
    expert_matrices,
    norm,
    rope_keys,
    shared_keys,
)


def qwen3moe(config: Config, weights: Weights) -> ModelDescription:
    """Describes Qwen3 with experts in every block; the router's weights are normalised."""
    config.require("use_sliding_window", False)
    config.require("norm_topk_prob", True)
    config.require("mlp_only_layers", [])
    config.require("decoder_sparse_step", 1)
    sizes = Sizes.of(config)
    count = config.number("num_experts", config.number("num_local_experts", 0) or None)
    width = config.number("moe_intermediate_size")
    keys = [
        *shared_keys(config, "qwen3moe", sizes),
        *head_keys("qwen3moe", sizes),
        *rope_keys(config, "qwen3moe"),
        u32("qwen3moe.expert_count", count),
        u32("qwen3moe.expert_used_count", config.number("num_experts_per_tok")),
        u32("qwen3moe.expert_feed_forward_length", width),
    ]
    tensors = list(ends(config, weights, sizes))
    for block in range(sizes.blocks):
        tensors.append(norm(weights, block, "attn_norm", "input_layernorm", sizes.width))
        tensors.extend(attention(weights, block, sizes, interleaved=False))
        tensors.append(norm(weights, block, "ffn_norm", "post_attention_layernorm", sizes.width))
        router, source = f"blk.{block}.ffn_gate_inp.weight", f"model.layers.{block}.mlp.gate.weight"
        tensors.append(weights.plain(router, source, count, sizes.width))
        tensors.extend(expert_matrices(weights, block, sizes, count, width))
    return ModelDescription("qwen3moe", sizes.blocks, sizes.vocabulary, tuple(keys), tuple(tensors))
