"""Llama, Qwen2 and Qwen3: attention with shared keys and a gated feed-forward network."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from deepseek_r1.convert.config import Config
from deepseek_r1.convert.families.description import (
    Description,
    Sizes,
    ends,
    feed_forward,
    norm,
    rope_factors,
    rope_keys,
    shared_keys,
)
from deepseek_r1.convert.key_values import KeyValue, u32
from deepseek_r1.convert.tensors import Floats, SourceTensor
from deepseek_r1.convert.weights import Weights


def llama(config: Config, weights: Weights) -> Description:
    """Llama 2 and 3 and their relatives. Pairs of numbers that turn together lie side by side."""
    return _dense(config, weights, "llama", interleaved=True)


def qwen2(config: Config, weights: Weights) -> Description:
    """Qwen2 and Qwen2.5, and with them most of R1's distilled models."""
    config.require("use_sliding_window", False)
    return _dense(config, weights, "qwen2")


def qwen3(config: Config, weights: Weights) -> Description:
    """Qwen3: norms on queries and keys, and a head of its own size."""
    config.require("use_sliding_window", False)
    return _dense(config, weights, "qwen3")


def _dense(
    config: Config, weights: Weights, architecture: str, *, interleaved: bool = False
) -> Description:
    sizes = Sizes.of(config)
    keys = [
        *shared_keys(config, architecture, sizes),
        *head_keys(architecture, sizes),
        *rope_keys(config, architecture),
    ]
    tensors = [*ends(config, weights, sizes), *rope_factors(config, sizes.head)]
    for block in range(sizes.blocks):
        tensors.append(norm(weights, block, "attn_norm", "input_layernorm", sizes.width))
        tensors.extend(attention(weights, block, sizes, interleaved=interleaved))
        tensors.append(norm(weights, block, "ffn_norm", "post_attention_layernorm", sizes.width))
        tensors.extend(feed_forward(weights, block, sizes, sizes.feed_forward))
    return Description(architecture, sizes.blocks, sizes.vocabulary, tuple(keys), tuple(tensors))


def head_keys(architecture: str, sizes: Sizes) -> list[KeyValue]:
    """The size of a head, which need not be the width divided by the heads."""
    return [
        u32(f"{architecture}.attention.key_length", sizes.head),
        u32(f"{architecture}.attention.value_length", sizes.head),
        u32(f"{architecture}.rope.dimension_count", sizes.head),
    ]


def attention(
    weights: Weights, block: int, sizes: Sizes, *, interleaved: bool
) -> Iterator[SourceTensor]:
    """Queries, keys, values and output, with biases and norms where the model has them."""
    source = f"model.layers.{block}.self_attn"
    for name, heads in (("q", sizes.heads), ("k", sizes.heads_kv), ("v", sizes.heads_kv)):
        rows = heads * sizes.head
        turn = interleaved and name != "v"
        matrix = weights.plain(
            f"blk.{block}.attn_{name}.weight", f"{source}.{name}_proj.weight", rows, sizes.width
        )
        yield _side_by_side(matrix, sizes.head) if turn else matrix
        if f"{source}.{name}_proj.bias" in weights:
            bias = weights.plain(
                f"blk.{block}.attn_{name}.bias", f"{source}.{name}_proj.bias", rows
            )
            yield _side_by_side_bias(bias, sizes.head) if turn else bias
        if f"{source}.{name}_norm.weight" in weights:
            yield norm(weights, block, f"attn_{name}_norm", f"self_attn.{name}_norm", sizes.head)
    output = f"blk.{block}.attn_output"
    yield weights.plain(
        f"{output}.weight", f"{source}.o_proj.weight", sizes.width, sizes.heads * sizes.head
    )
    if f"{source}.o_proj.bias" in weights:
        yield weights.plain(f"{output}.bias", f"{source}.o_proj.bias", sizes.width)


def _pairs(head: int) -> list[int]:
    """Where the rows of a head come from: the two halves of it, taken in turn."""
    half = head // 2
    return [n // 2 + (n % 2) * half for n in range(head)]


def _side_by_side(matrix: SourceTensor, head: int) -> SourceTensor:
    """The rows of each head in the order the engine turns them: 0, h/2, 1, h/2 + 1, …"""
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
