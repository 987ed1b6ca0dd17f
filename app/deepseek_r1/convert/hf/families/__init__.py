"""The supported model families by the architecture in config.json.

Llama, Qwen2 and Qwen3 are described here: grouped-query attention, a gated network or a mixture.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple

import numpy as np

from deepseek_r1.convert.errors import FamilyUnknown
from deepseek_r1.convert.hf.config import Config
from deepseek_r1.convert.hf.families.deepseek import deepseek
from deepseek_r1.convert.hf.families.description import (
    ModelDescription,
    Sizes,
    SourceLayer,
    described,
)
from deepseek_r1.convert.hf.tensor_files import Weights
from deepseek_r1.convert.model_source import Floats, SourceTensor
from deepseek_r1.formats.container import Scalar


def dense(
    config: Config,
    weights: Weights,
    architecture: str,
    *,
    interleaved: bool = False,
    mixture: bool = False,
) -> ModelDescription:
    """Describes a model, with `interleaved` rotary pairs, or with experts in every block."""
    sizes = Sizes.of(config)
    keys: dict[str, Scalar] = {  # the head size may differ from width / heads
        "attention.key_length": sizes.head,
        "attention.value_length": sizes.head,
        "rope.dimension_count": sizes.head,
    }
    experts = 0
    channels = sizes.feed_forward
    if mixture:
        experts = config.number("num_experts", config.number("num_local_experts", 0) or None)
        channels = config.number("moe_intermediate_size")
        keys["expert_count"] = experts
        keys["expert_used_count"] = config.number("num_experts_per_tok")
        keys["expert_feed_forward_length"] = channels

    def attention(block: SourceLayer) -> Iterator[SourceTensor]:
        return _attention(block, sizes, interleaved=interleaved)

    def network(block: SourceLayer) -> Iterator[SourceTensor]:
        if mixture:
            return block.experts(sizes.width, channels, experts)
        return block.feed_forward(sizes.width, channels)

    return described(config, weights, architecture, keys, attention=attention, network=network)


def _attention(block: SourceLayer, sizes: Sizes, *, interleaved: bool) -> Iterator[SourceTensor]:
    """Yields queries, keys, values and output, with the model's biases and norms."""
    for name, heads in (("q", sizes.heads), ("k", sizes.heads_kv), ("v", sizes.heads_kv)):
        shape = (heads * sizes.head, sizes.width)
        for each in block.with_bias(f"attn_{name}", f"self_attn.{name}_proj", *shape):
            yield _paired(each, sizes.head) if interleaved and name != "v" else each
        norm = f"self_attn.{name}_norm"
        if f"model.layers.{block.number}.{norm}.weight" in block.weights:
            yield block.weight(f"attn_{name}_norm", norm, sizes.head)
    shape = (sizes.width, sizes.heads * sizes.head)
    yield from block.with_bias("attn_output", "self_attn.o_proj", *shape)


def _paired(tensor: SourceTensor, head: int) -> SourceTensor:
    """Returns the rows of each head in the engine's rotary order: 0, h/2, 1, h/2 + 1, …"""
    matrix = len(tensor.shape) > 1  # a bias has a number for each row

    def read_rows(first: int, last: int) -> Floats:
        rows = tensor.read_rows(first, last)
        halves = rows.reshape(-1, 2, head // 2, tensor.columns if matrix else 1)
        return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows.shape)

    granule = head if matrix else 1
    return replace(tensor, read_rows=read_rows, granule=granule, read_packed=None)


class Family(NamedTuple):
    """A family: its description, and the only values of some keys that the engine computes."""

    describe: Callable[[Config, Weights], ModelDescription]
    required: Mapping[str, object]


_QWEN: Final = {"use_sliding_window": False}
FAMILIES: Final = {
    "LlamaForCausalLM": Family(  # Llama 2, 3 and similar models
        partial(dense, architecture="llama", interleaved=True), {}
    ),
    "Qwen2ForCausalLM": Family(  # and Qwen2.5, which includes most of R1's distilled models
        partial(dense, architecture="qwen2"), _QWEN
    ),
    "Qwen3ForCausalLM": Family(partial(dense, architecture="qwen3"), _QWEN),
    "Qwen3MoeForCausalLM": Family(
        partial(dense, architecture="qwen3moe", mixture=True),
        {**_QWEN, "norm_topk_prob": True, "mlp_only_layers": [], "decoder_sparse_step": 1},
    ),
    "DeepseekV2ForCausalLM": Family(  # V2-Lite and similar models
        partial(deepseek, sigmoid=False), {"scoring_func": "softmax", "norm_topk_prob": False}
    ),
    "DeepseekV3ForCausalLM": Family(  # V3, R1 and smaller models of that architecture
        partial(deepseek, sigmoid=True),
        {"scoring_func": "sigmoid", "topk_method": "noaux_tc", "rope_interleave": True},
    ),
}


def describe(config: Config, weights: Weights) -> ModelDescription:
    """Returns the description by the family. Raises FamilyUnknown and the family's errors."""
    name = config.first_text("architectures")
    if name not in FAMILIES:
        known = ", ".join(each.removesuffix("ForCausalLM") for each in FAMILIES)
        shown = "".join(c for c in name[:60] if c.isprintable())
        raise FamilyUnknown(architecture=shown or "?", known=known)
    plain = name.removesuffix("ForCausalLM").lower()  # "qwen3moe" is spelt "qwen3_moe"
    spelt = plain.replace("moe", "_moe").replace("deepseekv", "deepseek_v")
    config.require("model_type", plain, spelt)
    for key, value in FAMILIES[name].required.items():
        config.require(key, value)
    return FAMILIES[name].describe(config, weights)
