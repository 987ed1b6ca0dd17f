"""Describes Llama, Qwen2 and Qwen3: grouped-query attention and a gated feed-forward network."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from deepseek_r1.convert.hf.config import Config
from deepseek_r1.convert.hf.families.description import (
    ModelDescription,
    Sizes,
    ends,
    expert_matrices,
    feed_forward,
    layer,
    rope_factors,
    rope_keys,
    shared_keys,
)
from deepseek_r1.convert.hf.tensor_files import Weights
from deepseek_r1.convert.key_values import KeyValue, u32
from deepseek_r1.convert.source_tensors import Floats, SourceTensor


def llama(config: Config, weights: Weights) -> ModelDescription:
    """Describes Llama 2, 3 and similar models, with interleaved rotary pairs."""
    return _dense(config, weights, "llama", interleaved=True)


def qwen2(config: Config, weights: Weights) -> ModelDescription:
    """Describes Qwen2 and Qwen2.5, which includes most of R1's distilled models."""
    config.require("use_sliding_window", False)
    return _dense(config, weights, "qwen2")


def qwen3(config: Config, weights: Weights) -> ModelDescription:
    """Describes Qwen3: norms on queries and keys, and an independent head size."""
    config.require("use_sliding_window", False)
    return _dense(config, weights, "qwen3")


def _dense(
    config: Config, weights: Weights, architecture: str, *, interleaved: bool = False
) -> ModelDescription:
    sizes = Sizes.of(config)
    keys = [
        *shared_keys(config, architecture, sizes),
        *head_keys(architecture, sizes),
        *rope_keys(config, architecture),
    ]
    tensors = [*ends(config, weights, sizes), *rope_factors(config, sizes.head)]
    for block in range(sizes.blocks):
        tensors.append(layer(weights, block, "attn_norm", "input_layernorm", sizes.width))
        tensors.extend(attention(weights, block, sizes, interleaved=interleaved))
        tensors.append(layer(weights, block, "ffn_norm", "post_attention_layernorm", sizes.width))
        tensors.extend(feed_forward(weights, block, sizes, sizes.feed_forward))
    return ModelDescription(
        architecture, sizes.blocks, sizes.vocabulary, tuple(keys), tuple(tensors)
    )


def head_keys(architecture: str, sizes: Sizes) -> list[KeyValue]:
    """Returns the keys of the head size, which may differ from width / heads."""
    return [
        u32(f"{architecture}.attention.key_length", sizes.head),
        u32(f"{architecture}.attention.value_length", sizes.head),
        u32(f"{architecture}.rope.dimension_count", sizes.head),
    ]


def attention(
    weights: Weights, block: int, sizes: Sizes, *, interleaved: bool
) -> Iterator[SourceTensor]:
    """Yields queries, keys, values and output, with the model's biases and norms."""
    source = f"model.layers.{block}.self_attn"
    for name, heads in (("q", sizes.heads), ("k", sizes.heads_kv), ("v", sizes.heads_kv)):
        rows = heads * sizes.head
        turn = interleaved and name != "v"
        matrix = layer(weights, block, f"attn_{name}", f"self_attn.{name}_proj", rows, sizes.width)
        yield _side_by_side(matrix, sizes.head) if turn else matrix
        if f"{source}.{name}_proj.bias" in weights:
            bias = weights.plain(
                f"blk.{block}.attn_{name}.bias", f"{source}.{name}_proj.bias", rows
            )
            yield _side_by_side_bias(bias, sizes.head) if turn else bias
        if f"{source}.{name}_norm.weight" in weights:
            yield layer(weights, block, f"attn_{name}_norm", f"self_attn.{name}_norm", sizes.head)
    joined = sizes.heads * sizes.head
    yield layer(weights, block, "attn_output", "self_attn.o_proj", sizes.width, joined)
    if f"{source}.o_proj.bias" in weights:
        yield weights.plain(f"blk.{block}.attn_output.bias", f"{source}.o_proj.bias", sizes.width)


def _pairs(head: int) -> list[int]:
    """Returns the source rows of a head: its first and second part, interleaved."""
    offset = head // 2
    return [n // 2 + (n % 2) * offset for n in range(head)]


def _side_by_side(matrix: SourceTensor, head: int) -> SourceTensor:
    """Returns the rows of each head in the engine's rotary order: 0, h/2, 1, h/2 + 1, …"""
    order = _pairs(head)

    def read_rows(first: int, last: int) -> Floats:
        rows = matrix.read_rows(first, last)
        return rows.reshape(-1, head, matrix.columns)[:, order].reshape(rows.shape)

    return SourceTensor(matrix.name, matrix.shape, matrix.kind, read_rows, granule=head)


def _side_by_side_bias(bias: SourceTensor, head: int) -> SourceTensor:
    order = _pairs(head)

    def read_rows(first: int, last: int) -> Floats:
        row = bias.read_rows(first, last)
        return np.ascontiguousarray(row.reshape(-1, head)[:, order].reshape(row.shape))

    return SourceTensor(bias.name, bias.shape, bias.kind, read_rows)


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
        tensors.append(layer(weights, block, "attn_norm", "input_layernorm", sizes.width))
        tensors.extend(attention(weights, block, sizes, interleaved=False))
        tensors.append(layer(weights, block, "ffn_norm", "post_attention_layernorm", sizes.width))
        tensors.append(layer(weights, block, "ffn_gate_inp", "mlp.gate", count, sizes.width))
        tensors.extend(expert_matrices(weights, block, sizes, count, width))
    return ModelDescription("qwen3moe", sizes.blocks, sizes.vocabulary, tuple(keys), tuple(tensors))
