"""Describes DeepSeek-V2 and V3, which includes the large R1: latent attention and many experts.

Sources: DeepSeek-AI, "DeepSeek-V2" (2024), section 2.1 (multi-head latent attention), and
"DeepSeek-V3 Technical Report" (2024), section 2.1; llama.cpp's `deepseek2.cpp` for the names and
for the layout of the compressed keys and values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from deepseek_r1.convert.errors import FeatureUnknown
from deepseek_r1.convert.hf.config import Config
from deepseek_r1.convert.hf.families.description import (
    ModelDescription,
    Sizes,
    ends,
    expert_matrices,
    feed_forward,
    layer,
    rope,
    rope_keys,
    rope_type,
    shared_keys,
)
from deepseek_r1.convert.hf.tensor_files import Weights, kind_of, scaled
from deepseek_r1.convert.key_values import KeyValue, f32, flag, u32
from deepseek_r1.convert.source_tensors import Floats, SourceTensor
from deepseek_r1.core.i18n import tr

_SOFTMAX, _SIGMOID = 1, 2  # llama_expert_gating_func_type
_ARCHITECTURE = "deepseek2"
_LITE_BLOCKS = (26, 27)  # llama.cpp treats models with these counts as uncompressed queries


@dataclass(frozen=True, slots=True)
class _Latent:
    """The sizes of latent attention; `queries` is 0 if queries are not compressed."""

    queries: int
    keys_values: int
    still: int  # numbers of a head without rotary embedding
    turning: int
    value: int


@dataclass(frozen=True, slots=True)
class _Experts:
    count: int
    width: int
    shared: int
    dense_blocks: int  # the first blocks, with a dense network


def deepseek_v2(config: Config, weights: Weights) -> ModelDescription:
    """Describes V2-Lite and similar models. Refuses the larger V2, which selects expert groups."""
    config.require("scoring_func", "softmax")
    config.require("norm_topk_prob", False)
    if config.number("n_group", 1) > 1 and config.text("topk_method") != "greedy":
        raise FeatureUnknown(
            detail=tr("The engine chooses groups of experts in another way than this model.")
        )
    return _deepseek(config, weights, _SOFTMAX, grouped=False)


def deepseek_v3(config: Config, weights: Weights) -> ModelDescription:
    """Describes V3, R1 and smaller models of that architecture."""
    config.require("scoring_func", "sigmoid")
    config.require("topk_method", "noaux_tc")
    config.require("rope_interleave", True)
    return _deepseek(config, weights, _SIGMOID, grouped=True)


def _deepseek(config: Config, weights: Weights, gating: int, *, grouped: bool) -> ModelDescription:
    sizes = Sizes.of(config)
    latent = _Latent(
        queries=config.number("q_lora_rank", 0),
        keys_values=config.number("kv_lora_rank"),
        still=config.number("qk_nope_head_dim"),
        turning=config.number("qk_rope_head_dim"),
        value=config.number("v_head_dim"),
    )
    experts = _Experts(
        count=config.number("n_routed_experts"),
        width=config.number("moe_intermediate_size"),
        shared=config.number("n_shared_experts"),
        dense_blocks=config.number("first_k_dense_replace", 0),
    )
    _check(config, sizes, latent)
    keys = [
        *_without_heads(shared_keys(config, _ARCHITECTURE, sizes)),
        *rope_keys(config, _ARCHITECTURE),
        *_attention_keys(config, latent),
        *_expert_keys(config, experts, gating, grouped=grouped),
    ]
    tensors = list(ends(config, weights, sizes))
    for block in range(sizes.blocks):
        tensors.append(layer(weights, block, "attn_norm", "input_layernorm", sizes.width))
        tensors.extend(_attention(weights, block, sizes, latent))
        tensors.append(layer(weights, block, "ffn_norm", "post_attention_layernorm", sizes.width))
        tensors.extend(_network(weights, block, sizes, experts))
    return ModelDescription(
        _ARCHITECTURE, sizes.blocks, sizes.vocabulary, tuple(keys), tuple(tensors)
    )


def _check(config: Config, sizes: Sizes, latent: _Latent) -> None:
    """Refuse models that llama.cpp would compute differently."""
    config.require("moe_layer_freq", 1)
    config.require("attention_bias", False)
    if sizes.blocks in _LITE_BLOCKS and latent.queries:
        raise FeatureUnknown(
            detail=tr(
                "The engine mistakes every model of {n} blocks for another one.", n=sizes.blocks
            )
        )
    scaling = rope(config)
    if rope_type(config) == "yarn":  # the engine has one attention scale for both
        scaling.require("mscale", scaling.real("mscale_all_dim"))
        scaling.real("mscale")


def _without_heads(keys: list[KeyValue]) -> list[KeyValue]:
    """Returns the keys for one head of compressed keys and values, shared by all queries."""
    name = f"{_ARCHITECTURE}.attention.head_count_kv"
    return [u32(name, 1) if each.key == name else each for each in keys]


def _attention_keys(config: Config, latent: _Latent) -> Iterator[KeyValue]:
    prefix = f"{_ARCHITECTURE}.attention"
    yield u32(f"{prefix}.q_lora_rank", latent.queries)  # the engine requires the 0 as well
    yield u32(f"{prefix}.kv_lora_rank", latent.keys_values)
    yield u32(f"{prefix}.key_length", latent.keys_values + latent.turning)
    yield u32(f"{prefix}.value_length", latent.keys_values)
    yield u32(f"{prefix}.key_length_mla", latent.still + latent.turning)
    yield u32(f"{prefix}.value_length_mla", latent.value)
    yield u32(f"{_ARCHITECTURE}.rope.dimension_count", latent.turning)
    scaling = rope(config)
    if rope_type(config) == "yarn":  # llama.cpp divides by 0.1
        factor = 0.1 * scaling.real("mscale_all_dim")
        yield f32(f"{_ARCHITECTURE}.rope.scaling.yarn_log_multiplier", factor)


def _expert_keys(
    config: Config, experts: _Experts, gating: int, *, grouped: bool
) -> Iterator[KeyValue]:
    yield u32(f"{_ARCHITECTURE}.leading_dense_block_count", experts.dense_blocks)
    yield u32(f"{_ARCHITECTURE}.expert_count", experts.count)
    yield u32(f"{_ARCHITECTURE}.expert_used_count", config.number("num_experts_per_tok"))
    yield u32(f"{_ARCHITECTURE}.expert_shared_count", experts.shared)
    yield u32(f"{_ARCHITECTURE}.expert_feed_forward_length", experts.width)
    yield f32(f"{_ARCHITECTURE}.expert_weights_scale", config.real("routed_scaling_factor", 1.0))
    normed = config.flag("norm_topk_prob", gating == _SIGMOID)
    yield flag(f"{_ARCHITECTURE}.expert_weights_norm", normed)
    yield u32(f"{_ARCHITECTURE}.expert_gating_func", gating)
    groups, used = config.number("n_group", 1), config.number("topk_group", 1)
    if grouped and groups > used:  # with all groups in use there is no selection
        yield u32(f"{_ARCHITECTURE}.expert_group_count", groups)
        yield u32(f"{_ARCHITECTURE}.expert_group_used_count", used)


def _attention(
    weights: Weights, block: int, sizes: Sizes, latent: _Latent
) -> Iterator[SourceTensor]:
    query_rows = sizes.heads * (latent.still + latent.turning)
    if latent.queries:
        yield layer(weights, block, "attn_q_a", "self_attn.q_a_proj", latent.queries, sizes.width)
        yield layer(weights, block, "attn_q_a_norm", "self_attn.q_a_layernorm", latent.queries)
        yield layer(weights, block, "attn_q_b", "self_attn.q_b_proj", query_rows, latent.queries)
    else:
        yield layer(weights, block, "attn_q", "self_attn.q_proj", query_rows, sizes.width)
    both = latent.keys_values + latent.turning
    yield layer(weights, block, "attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa", both, sizes.width)
    yield layer(weights, block, "attn_kv_a_norm", "self_attn.kv_a_layernorm", latent.keys_values)
    yield from _keys_and_values(weights, block, sizes, latent)
    values = sizes.heads * latent.value
    yield layer(weights, block, "attn_output", "self_attn.o_proj", sizes.width, values)


def _keys_and_values(
    weights: Weights, block: int, sizes: Sizes, latent: _Latent
) -> Iterator[SourceTensor]:
    """Yields the up-projection of the latent state, split into keys (transposed) and values.

    The transposed keys' part is applied to the query, so that the keys are never expanded: the
    "absorption" of section 2.1.2 in the paper on V2.
    """
    name = f"model.layers.{block}.self_attn.kv_b_proj.weight"
    head = latent.still + latent.value
    stored = weights.take(name, sizes.heads * head, latent.keys_values)
    read = scaled(stored, weights.scales(stored))

    def of_heads(first: int, last: int) -> Floats:
        """Returns the heads from `first`, shape (heads, still + value, compressed)."""
        return read(first * head, last * head).reshape(-1, head, latent.keys_values)

    def read_keys(first: int, last: int) -> Floats:
        size = latent.keys_values
        keys = of_heads(first // size, last // size)[:, : latent.still]
        return np.ascontiguousarray(keys.transpose(0, 2, 1)).reshape(-1, latent.still)

    def read_values(first: int, last: int) -> Floats:
        size = latent.value
        values = of_heads(first // size, last // size)[:, latent.still :]
        return np.ascontiguousarray(values).reshape(-1, latent.keys_values)

    yield SourceTensor(
        f"blk.{block}.attn_k_b.weight",
        (latent.still, latent.keys_values, sizes.heads),
        kind_of(stored),
        read_keys,
        granule=latent.keys_values,
    )
    yield SourceTensor(
        f"blk.{block}.attn_v_b.weight",
        (latent.keys_values, latent.value, sizes.heads),
        kind_of(stored),
        read_values,
        granule=latent.value,
    )


def _network(
    weights: Weights, block: int, sizes: Sizes, experts: _Experts
) -> Iterator[SourceTensor]:
    if block < experts.dense_blocks:
        yield from feed_forward(weights, block, sizes, sizes.feed_forward)
        return
    yield layer(weights, block, "ffn_gate_inp", "mlp.gate", experts.count, sizes.width)
    bias = f"model.layers.{block}.mlp.gate.e_score_correction_bias"
    if bias in weights:
        yield weights.plain(f"blk.{block}.exp_probs_b.bias", bias, experts.count)
    yield from expert_matrices(weights, block, sizes, experts.count, experts.width)
    shared = experts.shared * experts.width
    theirs, ours = "mlp.shared_experts", "_shexp"
    yield from feed_forward(weights, block, sizes, shared, theirs=theirs, ours=ours)
