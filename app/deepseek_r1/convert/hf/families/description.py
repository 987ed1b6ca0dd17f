"""The parts that all families share: shape, positions and the tensors of every transformer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from deepseek_r1.convert.errors import FeatureUnknown
from deepseek_r1.convert.hf.config import Config
from deepseek_r1.convert.hf.tensor_files import Weights
from deepseek_r1.convert.key_values import KeyValue, f32, text, u32
from deepseek_r1.convert.source_tensors import SourceTensor, constant
from deepseek_r1.core.i18n import tr

MAX_BLOCKS = 512  # LLAMA_MAX_LAYERS
MAX_WIDTH = 1 << 20


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """A model's GGUF description without its vocabulary."""

    architecture: str
    blocks: int
    vocabulary: int  # rows of the embedding
    keys: tuple[KeyValue, ...]
    tensors: tuple[SourceTensor, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes that every family has."""

    blocks: int
    width: int
    feed_forward: int
    heads: int
    heads_kv: int
    head: int  # numbers per head
    vocabulary: int

    @classmethod
    def of(cls, config: Config) -> Sizes:
        """Returns the sizes in config.json, checked for range and consistency."""
        width, heads = config.number("hidden_size"), config.number("num_attention_heads")
        sizes = cls(
            blocks=config.number("num_hidden_layers"),
            width=width,
            feed_forward=config.number("intermediate_size"),
            heads=heads,
            heads_kv=config.number("num_key_value_heads", heads),
            head=config.number("head_dim", max(1, width // heads)),
            vocabulary=config.number("vocab_size"),
        )
        if sizes.blocks > MAX_BLOCKS or max(width, sizes.feed_forward, heads) > MAX_WIDTH:
            raise config.damaged(tr("it is larger than any model the engine can load"))
        if heads % sizes.heads_kv:
            raise config.damaged(
                tr("{heads} heads cannot share {kv}", heads=heads, kv=sizes.heads_kv)
            )
        return sizes


def shared_keys(config: Config, architecture: str, sizes: Sizes) -> list[KeyValue]:
    """Returns the keys of the model's shape."""
    config.require("hidden_act", "silu")
    return [
        u32(f"{architecture}.vocab_size", sizes.vocabulary),
        u32(f"{architecture}.context_length", config.number("max_position_embeddings")),
        u32(f"{architecture}.embedding_length", sizes.width),
        u32(f"{architecture}.block_count", sizes.blocks),
        u32(f"{architecture}.feed_forward_length", sizes.feed_forward),
        u32(f"{architecture}.attention.head_count", sizes.heads),
        u32(f"{architecture}.attention.head_count_kv", sizes.heads_kv),
        f32(f"{architecture}.attention.layer_norm_rms_epsilon", config.real("rms_norm_eps", 1e-6)),
    ]


def rope(config: Config) -> Config:
    """Returns the rotary settings: one object since 2025, keys in two places before."""
    return config.part("rope_parameters" if "rope_parameters" in config else "rope_scaling")


def rope_type(config: Config) -> str:
    """Returns the type of the rotary scaling."""
    scaling = rope(config)
    return scaling.text("rope_type") or scaling.text("type") or "default"


def rope_keys(config: Config, architecture: str) -> list[KeyValue]:
    """Returns the rotary keys. Raises FeatureUnknown for scalings that GGUF has no key for."""
    scaling, kind = rope(config), rope_type(config)
    base = scaling.real("rope_theta", config.real("rope_theta", 10_000.0))
    prefix = f"{architecture}.rope"
    keys = [f32(f"{prefix}.freq_base", base)]
    config.require("partial_rotary_factor", 1.0)
    scaling.require("partial_rotary_factor", 1.0)
    if kind in ("default", "llama3"):  # llama3 is a tensor, see `rope_factors`
        return keys
    if kind not in ("linear", "yarn"):
        raise FeatureUnknown(
            detail=tr(
                "The engine cannot compute {key} = {value}.", key="rope_type", value=kind[:40]
            )
        )
    keys.append(text(f"{prefix}.scaling.type", kind))
    keys.append(f32(f"{prefix}.scaling.factor", scaling.real("factor")))
    if kind == "yarn":
        trained = scaling.number(
            "original_max_position_embeddings", config.number("max_position_embeddings")
        )
        keys.append(u32(f"{prefix}.scaling.original_context_length", trained))
        for ours, theirs in (("yarn_beta_fast", "beta_fast"), ("yarn_beta_slow", "beta_slow")):
            if theirs in scaling:
                keys.append(f32(f"{prefix}.scaling.{ours}", scaling.real(theirs)))
        scaling.require("truncate", True)
        keys.extend(_attention_factor(scaling, architecture))
    return keys


def _attention_factor(scaling: Config, architecture: str) -> Iterator[KeyValue]:
    """Yields the key of YaRN's attention factor, by which the engine multiplies its own scale.

    Two spellings are in use: `attention_factor` is the scale itself (transformers), `attn_factor`
    is its multiplier (DeepSeek-R1-0528-Qwen3-8B).
    """
    if architecture == "deepseek2":  # has its own scales
        scaling.require("attention_factor")
        scaling.require("attn_factor")
        return
    scaling.require("mscale")
    scaling.require("mscale_all_dim")
    own = 1 + 0.1 * math.log(max(1.0, scaling.real("factor")))
    if "attention_factor" in scaling:
        factor = scaling.real("attention_factor") / own
    elif "attn_factor" in scaling:
        factor = scaling.real("attn_factor")
    else:
        return
    yield f32(f"{architecture}.rope.scaling.attn_factor", factor)


def rope_factors(config: Config, rotated: int) -> Iterator[SourceTensor]:
    """Yields Llama 3.1's rotary factors, one divisor for each pair of numbers.

    Source: Meta's `apply_scaling` (llama-models, 2024): wavelengths above the trained context are
    divided by `factor`, short ones are unchanged, and those between are interpolated.
    """
    if rope_type(config) != "llama3":
        return
    scaling = rope(config)
    base = scaling.real("rope_theta", config.real("rope_theta", 10_000.0))
    factor, trained = scaling.real("factor"), scaling.number("original_max_position_embeddings")
    low, high = scaling.real("low_freq_factor"), scaling.real("high_freq_factor")
    if not 0 < low < high or factor <= 0 or base <= 0:
        raise config.damaged(tr("the key {key} has the value {value}", key="rope", value="llama3"))
    waves = 2 * np.pi * base ** (np.arange(0, rotated, 2) / rotated)
    passage = np.clip((trained / waves - low) / (high - low), 0, 1)
    yield constant(
        "rope_freqs.weight", np.asarray(1 / ((1 - passage) / factor + passage), np.float32)
    )


def ends(config: Config, weights: Weights, sizes: Sizes) -> Iterator[SourceTensor]:
    """Yields the embedding, the last norm, and the output unless it is tied to the embedding."""
    yield weights.plain(
        "token_embd.weight", "model.embed_tokens.weight", sizes.vocabulary, sizes.width
    )
    yield weights.plain("output_norm.weight", "model.norm.weight", sizes.width)
    tied = config.flag("tie_word_embeddings", False)
    if "lm_head.weight" in weights:
        output = weights.plain("output.weight", "lm_head.weight", sizes.vocabulary, sizes.width)
        if not tied:
            yield output
    elif not tied:
        weights.take("lm_head.weight")  # raises TensorMissing


def feed_forward(
    weights: Weights, block: int, sizes: Sizes, width: int, *, theirs: str = "mlp", ours: str = ""
) -> Iterator[SourceTensor]:
    """Yields a gated feed-forward network of `width` channels."""
    for name, shape in (
        ("gate", (width, sizes.width)),
        ("up", (width, sizes.width)),
        ("down", (sizes.width, width)),
    ):
        source = f"model.layers.{block}.{theirs}.{name}_proj"
        target = f"blk.{block}.ffn_{name}{ours}"
        yield weights.plain(f"{target}.weight", f"{source}.weight", *shape)
        if f"{source}.bias" in weights:
            yield weights.plain(f"{target}.bias", f"{source}.bias", shape[0])


def expert_matrices(
    weights: Weights, block: int, sizes: Sizes, count: int, width: int
) -> Iterator[SourceTensor]:
    """Yields the experts of a mixture: three stacked matrices, `width` channels per expert."""
    for name, shape in (
        ("gate", (width, sizes.width)),
        ("up", (width, sizes.width)),
        ("down", (sizes.width, width)),
    ):
        names = [f"model.layers.{block}.mlp.experts.{n}.{name}_proj.weight" for n in range(count)]
        yield weights.stacked(f"blk.{block}.ffn_{name}_exps.weight", names, *shape)


def layer(weights: Weights, block: int, target: str, source: str, *shape: int) -> SourceTensor:
    """Returns a weight of a block, of numpy shape `shape`."""
    return weights.plain(
        f"blk.{block}.{target}.weight", f"model.layers.{block}.{source}.weight", *shape
    )
