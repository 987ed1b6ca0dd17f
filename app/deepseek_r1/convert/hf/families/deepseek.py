"""Describes DeepSeek-V2 and V3, which includes the large R1: latent attention and many experts.

Sources: DeepSeek-AI, "DeepSeek-V2" (2024), section 2.1 (multi-head latent attention), and
"DeepSeek-V3 Technical Report" (2024), section 2.1; llama.cpp's `deepseek2.cpp` for the names and
for the layout of the compressed keys and values.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from deepseek_r1.convert.errors import FeatureUnknown
from deepseek_r1.convert.hf.config import Config
from deepseek_r1.convert.hf.families.description import (
    ModelDescription,
    Sizes,
    SourceLayer,
    described,
    rope,
    rope_type,
)
from deepseek_r1.convert.hf.tensor_files import Weights
from deepseek_r1.convert.model_source import Floats, SourceTensor
from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.container import Scalar

_LITE_BLOCKS = (26, 27)  # llama.cpp treats models with these counts as uncompressed queries


@dataclass(frozen=True, slots=True)
class _Latent:
    """The sizes of latent attention; `queries` is 0 if queries are not compressed."""

    queries: int
    keys_values: int
    still: int  # numbers of a head without rotary embedding
    turning: int
    value: int


def deepseek(config: Config, weights: Weights, *, sigmoid: bool) -> ModelDescription:
    """Describes a model whose experts are chosen by a sigmoid in groups (V3), or by a softmax (V2).

    Refuses the larger V2, which chooses groups in another way.
    """
    sizes = Sizes.of(config)
    latent = _Latent(
        queries=config.number("q_lora_rank", 0),
        keys_values=config.number("kv_lora_rank"),
        still=config.number("qk_nope_head_dim"),
        turning=config.number("qk_rope_head_dim"),
        value=config.number("v_head_dim"),
    )
    _check(config, sizes, latent, sigmoid=sigmoid)
    keys = _attention_keys(config, latent) | _expert_keys(config, sigmoid=sigmoid)

    def attention(block: SourceLayer) -> Iterator[SourceTensor]:
        return _attention(block, sizes, latent)

    def network(block: SourceLayer) -> Iterator[SourceTensor]:
        return _network(block, config, sizes)

    return described(config, weights, "deepseek2", keys, attention=attention, network=network)


def _check(config: Config, sizes: Sizes, latent: _Latent, *, sigmoid: bool) -> None:
    """Refuse models that llama.cpp would compute differently."""
    config.require("moe_layer_freq", 1)
    config.require("attention_bias", False)
    grouped = config.number("n_group", 1) > 1 and config.text("topk_method") != "greedy"
    if grouped and not sigmoid:
        raise FeatureUnknown(
            detail=tr("The engine chooses groups of experts differently from this model.")
        )
    if sizes.blocks in _LITE_BLOCKS and latent.queries:
        raise FeatureUnknown(
            detail=tr("The engine takes every model of {n} blocks for another one.", n=sizes.blocks)
        )
    scaling = rope(config)
    if rope_type(config) == "yarn":  # the engine has one attention scale for both
        scaling.require("mscale", scaling.real("mscale_all_dim"))
        scaling.real("mscale")


def _attention_keys(config: Config, latent: _Latent) -> dict[str, Scalar]:
    keys: dict[str, Scalar] = {
        "attention.head_count_kv": 1,  # compressed keys and values, shared by all queries
        "attention.q_lora_rank": latent.queries,  # the engine requires the 0 as well
        "attention.kv_lora_rank": latent.keys_values,
        "attention.key_length": latent.keys_values + latent.turning,
        "attention.value_length": latent.keys_values,
        "attention.key_length_mla": latent.still + latent.turning,
        "attention.value_length_mla": latent.value,
        "rope.dimension_count": latent.turning,
    }
    if rope_type(config) == "yarn":  # llama.cpp divides by 0.1
        factor = 0.1 * rope(config).real("mscale_all_dim")
        keys["rope.scaling.yarn_log_multiplier"] = factor
    return keys


def _expert_keys(config: Config, *, sigmoid: bool) -> dict[str, Scalar]:
    keys: dict[str, Scalar] = {
        "leading_dense_block_count": config.number("first_k_dense_replace", 0),
        "expert_count": config.number("n_routed_experts"),
        "expert_used_count": config.number("num_experts_per_tok"),
        "expert_shared_count": config.number("n_shared_experts"),
        "expert_feed_forward_length": config.number("moe_intermediate_size"),
        "expert_weights_scale": config.real("routed_scaling_factor", 1.0),
        "expert_weights_norm": config.flag("norm_topk_prob", sigmoid),
        "expert_gating_func": 2 if sigmoid else 1,  # llama_expert_gating_func_type
    }
    groups, used = config.number("n_group", 1), config.number("topk_group", 1)
    if sigmoid and groups > used:  # with all groups in use there is no selection
        keys |= {"expert_group_count": groups, "expert_group_used_count": used}
    return keys


def _attention(block: SourceLayer, sizes: Sizes, latent: _Latent) -> Iterator[SourceTensor]:
    query_rows = sizes.heads * (latent.still + latent.turning)
    if latent.queries:
        yield block.weight("attn_q_a", "self_attn.q_a_proj", latent.queries, sizes.width)
        yield block.weight("attn_q_a_norm", "self_attn.q_a_layernorm", latent.queries)
        yield block.weight("attn_q_b", "self_attn.q_b_proj", query_rows, latent.queries)
    else:
        yield block.weight("attn_q", "self_attn.q_proj", query_rows, sizes.width)
    both = latent.keys_values + latent.turning
    yield block.weight("attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa", both, sizes.width)
    yield block.weight("attn_kv_a_norm", "self_attn.kv_a_layernorm", latent.keys_values)
    yield from _keys_and_values(block, sizes, latent)
    values = sizes.heads * latent.value
    yield block.weight("attn_output", "self_attn.o_proj", sizes.width, values)


def _keys_and_values(block: SourceLayer, sizes: Sizes, latent: _Latent) -> Iterator[SourceTensor]:
    """Yields the up-projection of the latent state, split into keys (transposed) and values.

    The transposed keys' part is applied to the query, so that the keys are never expanded: the
    "absorption" of section 2.1.2 in the paper on V2.
    """
    name = f"model.layers.{block.number}.self_attn.kv_b_proj.weight"
    head = latent.still + latent.value
    stored = block.weights.take(name, sizes.heads * head, latent.keys_values)
    read = block.weights.reader(stored)

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

    compressed = latent.keys_values
    for part, shape, read_rows in (
        ("k", (latent.still, compressed, sizes.heads), read_keys),
        ("v", (compressed, latent.value, sizes.heads), read_values),
    ):
        target = f"blk.{block.number}.attn_{part}_b.weight"
        yield SourceTensor(target, shape, stored.kind, read_rows, granule=shape[1])


def _network(block: SourceLayer, config: Config, sizes: Sizes) -> Iterator[SourceTensor]:
    if block.number < config.number("first_k_dense_replace", 0):
        yield from block.feed_forward(sizes.width, sizes.feed_forward)
        return
    count, channels = config.number("n_routed_experts"), config.number("moe_intermediate_size")
    bias = f"model.layers.{block.number}.mlp.gate.e_score_correction_bias"
    if bias in block.weights:
        yield block.weights.plain(f"blk.{block.number}.exp_probs_b.bias", bias, count)
    yield from block.experts(sizes.width, channels, count)
    shared = config.number("n_shared_experts") * channels
    yield from block.feed_forward(sizes.width, shared, theirs="mlp.shared_experts", ours="_shexp")
