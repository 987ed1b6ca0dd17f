"""The parts that all families share: shape, positions and the tensors of every transformer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from deepseek_r1.convert.hf.config import Config
from deepseek_r1.convert.hf.tensor_files import Weights
from deepseek_r1.convert.model_source import SourceTensor
from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.container import Scalar
from deepseek_r1.formats.ggml_types import F32

MAX_BLOCKS = 512  # LLAMA_MAX_LAYERS
MAX_WIDTH = 1 << 20


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


@dataclass(frozen=True, slots=True)
class SourceLayer:
    """One block of the source."""

    weights: Weights
    number: int

    def weight(self, ours: str, theirs: str, *shape: int) -> SourceTensor:
        """Returns the weight `theirs`, of numpy shape `shape`, under GGUF's name."""
        source = f"model.layers.{self.number}.{theirs}"
        return self.weights.plain(f"blk.{self.number}.{ours}.weight", f"{source}.weight", *shape)

    def with_bias(self, ours: str, theirs: str, *shape: int) -> Iterator[SourceTensor]:
        """Yields the weight, and its bias if the model has one."""
        yield self.weight(ours, theirs, *shape)
        bias = f"model.layers.{self.number}.{theirs}.bias"
        if bias in self.weights:
            yield self.weights.plain(f"blk.{self.number}.{ours}.bias", bias, shape[0])

    def feed_forward(
        self, width: int, channels: int, *, theirs: str = "mlp", ours: str = ""
    ) -> Iterator[SourceTensor]:
        for name, shape in _gated(width, channels).items():
            yield from self.with_bias(f"ffn_{name}{ours}", f"{theirs}.{name}_proj", *shape)

    def experts(self, width: int, channels: int, count: int) -> Iterator[SourceTensor]:
        """Yields the router of a mixture, and three stacked matrices of its experts."""
        yield self.weight("ffn_gate_inp", "mlp.gate", count, width)
        source = f"model.layers.{self.number}.mlp.experts"
        for name, shape in _gated(width, channels).items():
            names = [f"{source}.{n}.{name}_proj.weight" for n in range(count)]
            yield self.weights.stacked(f"blk.{self.number}.ffn_{name}_exps.weight", names, *shape)


def _gated(width: int, channels: int) -> dict[str, tuple[int, int]]:
    return {"gate": (channels, width), "up": (channels, width), "down": (width, channels)}


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """A model's GGUF description without its vocabulary."""

    architecture: str
    sizes: Sizes
    keys: Mapping[str, Scalar]  # without the architecture, which precedes each name
    tensors: tuple[SourceTensor, ...]


Parts = Callable[[SourceLayer], Iterable[SourceTensor]]


def described(
    config: Config,
    weights: Weights,
    architecture: str,
    keys: Mapping[str, Scalar],
    *,
    attention: Parts,
    network: Parts,
) -> ModelDescription:
    """Returns a model whose blocks have these two parts, with `keys` beside the shared ones."""
    config.require("hidden_act", "silu")
    sizes = Sizes.of(config)
    shared: dict[str, Scalar] = {
        "vocab_size": sizes.vocabulary,
        "context_length": config.number("max_position_embeddings"),
        "embedding_length": sizes.width,
        "block_count": sizes.blocks,
        "feed_forward_length": sizes.feed_forward,
        "attention.head_count": sizes.heads,
        "attention.head_count_kv": sizes.heads_kv,
        "attention.layer_norm_rms_epsilon": config.real("rms_norm_eps", 1e-6),
        **_rope_keys(config, architecture),
    }
    tensors = [*_ends(config, weights, sizes), *_rope_factors(config, sizes.head)]
    for number in range(sizes.blocks):
        block = SourceLayer(weights, number)
        tensors.append(block.weight("attn_norm", "input_layernorm", sizes.width))
        tensors.extend(attention(block))
        tensors.append(block.weight("ffn_norm", "post_attention_layernorm", sizes.width))
        tensors.extend(network(block))
    return ModelDescription(architecture, sizes, {**shared, **keys}, tuple(tensors))


def rope(config: Config) -> Config:
    """Returns the rotary settings: one object since 2025, keys in two places before."""
    return config.part("rope_parameters" if "rope_parameters" in config else "rope_scaling")


def rope_type(config: Config) -> str:
    """Returns the type of the rotary scaling."""
    scaling = rope(config)
    return scaling.text("rope_type") or scaling.text("type") or "default"


def _rope_keys(config: Config, architecture: str) -> dict[str, Scalar]:
    """Returns the rotary keys. Raises FeatureUnknown for scalings that GGUF has no key for."""
    scaling, kind = rope(config), rope_type(config)
    keys: dict[str, Scalar] = {"rope.freq_base": _rope_base(config)}
    config.require("partial_rotary_factor", 1.0)
    scaling.require("partial_rotary_factor", 1.0)
    if kind == "default" or (kind == "llama3" and architecture == "llama"):
        return keys  # llama3 is a tensor, see `_rope_factors`; other families' engines take none
    if kind not in ("linear", "yarn"):
        raise config.unknown("rope_type", kind)
    keys["rope.scaling.type"] = kind
    keys["rope.scaling.factor"] = scaling.real("factor")
    if kind == "yarn":
        keys["rope.scaling.original_context_length"] = scaling.number(
            "original_max_position_embeddings", config.number("max_position_embeddings")
        )
        for name in ("beta_fast", "beta_slow"):
            if name in scaling:
                keys[f"rope.scaling.yarn_{name}"] = scaling.real(name)
        scaling.require("truncate", True)
        keys |= _attention_factor(scaling, architecture)
    return keys


def _rope_base(config: Config) -> float:
    return rope(config).real("rope_theta", config.real("rope_theta", 10_000.0))


def _attention_factor(scaling: Config, architecture: str) -> dict[str, Scalar]:
    """Returns the key of YaRN's attention factor, by which the engine multiplies its own scale.

    Two spellings are in use: `attention_factor` is the scale itself (transformers), `attn_factor`
    is its multiplier (DeepSeek-R1-0528-Qwen3-8B).
    """
    unused = ("attention_factor", "attn_factor")
    if architecture != "deepseek2":  # which has its own scales
        unused = ("mscale", "mscale_all_dim")
    for key in unused:
        scaling.require(key)
    own = 1 + 0.1 * math.log(max(1.0, scaling.real("factor")))
    if "attention_factor" in scaling:
        return {"rope.scaling.attn_factor": scaling.real("attention_factor") / own}
    if "attn_factor" in scaling:
        return {"rope.scaling.attn_factor": scaling.real("attn_factor")}
    return {}


def _rope_factors(config: Config, rotated: int) -> Iterator[SourceTensor]:
    """Yields Llama 3.1's rotary factors, one divisor for each pair of numbers.

    Source: Meta's `apply_scaling` (llama-models, 2024): wavelengths above the trained context are
    divided by `factor`, short ones are unchanged, and those between are interpolated.
    """
    if rope_type(config) != "llama3":
        return
    scaling, base = rope(config), _rope_base(config)
    factor, trained = scaling.real("factor"), scaling.number("original_max_position_embeddings")
    low, high = scaling.real("low_freq_factor"), scaling.real("high_freq_factor")
    if not 0 < low < high or factor <= 0 or base <= 0:
        raise config.damaged(tr("the key {key} has the value {value}", key="rope", value="llama3"))
    waves = 2 * np.pi * base ** (np.arange(0, rotated, 2) / rotated)
    passage = np.clip((trained / waves - low) / (high - low), 0, 1)
    row = np.asarray([1 / ((1 - passage) / factor + passage)], np.float32)
    yield SourceTensor("rope_freqs.weight", (row.size,), F32, lambda _first, _last: row)


def _ends(config: Config, weights: Weights, sizes: Sizes) -> Iterator[SourceTensor]:
    """Yields the embedding, the last norm, and the output unless it is tied to the embedding."""
    table = (sizes.vocabulary, sizes.width)
    yield weights.plain("token_embd.weight", "model.embed_tokens.weight", *table)
    yield weights.plain("output_norm.weight", "model.norm.weight", sizes.width)
    tied = config.flag("tie_word_embeddings", False)
    if not tied or "lm_head.weight" in weights:
        output = weights.plain("output.weight", "lm_head.weight", *table)
        if not tied:
            yield output
