"""GGUF models with recurrent state beside attention: random weights, each family's true structure.

The tiny ones are a few hundred kilobytes and load in milliseconds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

from support.gguf_files import EMBEDDING, HEADS, HEADS_KV, byte_pair_writer, write

CONTEXT = 32768
_CONV = 4  # tokens that a convolution sees
_LATENT, _ROTATED = 32, 8  # of latent attention
_FAST = 1 << 22  # weights of a matrix that is made of random bytes


@dataclass(frozen=True)
class Shape:
    """Widths of a model; `state` is that of a head of the recurrent layers."""

    width: int = EMBEDDING
    heads: int = HEADS
    heads_kv: int = HEADS_KV
    head: int = EMBEDDING // HEADS
    state_heads: int = 4
    state: int = 16
    groups: int = 2
    network: int = 2 * EMBEDDING
    blocks: int = 4
    sections: tuple[int, ...] = (4, 2, 2, 0)


TINY = Shape()
QWEN35_08B = Shape(1024, 8, 2, 256, 16, 128, 16, 3584, 24, (11, 11, 10, 0))
GRANITE_1B = Shape(1536, 12, 4, 128, 48, 128, 1, 4096, 40)


class _Tensors:
    """Adds random tensors; matrices are quantised to q8_0."""

    def __init__(self, writer: gguf.GGUFWriter, seed: int) -> None:
        self._writer, self._random = writer, np.random.default_rng(seed)

    def matrix(self, name: str, *shape: int) -> None:
        if np.prod(shape) >= _FAST:
            self._bytes(name, shape)
            return
        kind = gguf.GGMLQuantizationType.Q8_0
        data = self._random.standard_normal(shape, dtype=np.float32) * shape[-1] ** -0.5
        self._writer.add_tensor(name, gguf.quants.quantize(data, kind), raw_dtype=kind)

    def _bytes(self, name: str, shape: tuple[int, ...]) -> None:
        """A matrix of q4_0 whose values spread as those of `matrix`."""
        raw = self._random.integers(0, 256, (*shape[:-1], shape[-1] // 32, 18), dtype=np.uint8)
        raw[..., :2] = np.frombuffer(np.float16(shape[-1] ** -0.5 / 4.6).tobytes(), np.uint8)
        kind = gguf.GGMLQuantizationType.Q4_0
        self._writer.add_tensor(name, raw.reshape(*shape[:-1], -1), raw_dtype=kind)

    def plain(self, name: str, *shape: int, scale: float = 0.3) -> None:
        self._writer.add_tensor(name, self._random.standard_normal(shape, dtype=np.float32) * scale)

    def norm(self, name: str, *shape: int) -> None:
        data = 1 + 0.1 * self._random.standard_normal(shape, dtype=np.float32)
        self._writer.add_tensor(name, data)

    def decay(self, name: str, *shape: int) -> None:
        """The state's decay, which is negative."""
        self._writer.add_tensor(name, -self._random.uniform(0.2, 2.0, shape).astype(np.float32))

    def feed_forward(self, block: str, shape: Shape) -> None:
        self.matrix(block + "ffn_gate.weight", shape.network, shape.width)
        self.matrix(block + "ffn_up.weight", shape.network, shape.width)
        self.matrix(block + "ffn_down.weight", shape.width, shape.network)

    def attention(self, block: str, shape: Shape, query: int = 1) -> None:
        self.matrix(block + "attn_q.weight", query * shape.heads * shape.head, shape.width)
        self.matrix(block + "attn_k.weight", shape.heads_kv * shape.head, shape.width)
        self.matrix(block + "attn_v.weight", shape.heads_kv * shape.head, shape.width)
        self.matrix(block + "attn_output.weight", shape.width, shape.heads * shape.head)

    def mamba(self, block: str, shape: Shape) -> None:
        inner, heads = 2 * shape.width, 2 * shape.width // shape.state
        convolved = inner + 2 * shape.groups * shape.state
        self.matrix(block + "ssm_in.weight", inner + convolved + heads, shape.width)
        self.plain(block + "ssm_conv1d.weight", convolved, _CONV)
        self.plain(block + "ssm_conv1d.bias", convolved)
        self.plain(block + "ssm_dt.bias", heads)
        self.decay(block + "ssm_a", heads, 1)
        self.plain(block + "ssm_d", heads, 1)
        self.norm(block + "ssm_norm.weight", shape.groups, inner // shape.groups)
        self.matrix(block + "ssm_out.weight", shape.width, inner)


def _begin(
    path: Path, architecture: str, seed: int, shape: Shape
) -> tuple[gguf.GGUFWriter, _Tensors]:
    writer, tokens = byte_pair_writer(path, architecture)
    for name, value in {
        "context_length": CONTEXT, "embedding_length": shape.width, "block_count": shape.blocks,
        "feed_forward_length": shape.network, "attention.head_count": shape.heads,
        "attention.head_count_kv": shape.heads_kv, "attention.key_length": shape.head,
        "attention.value_length": shape.head, "rope.dimension_count": min(64, shape.head),
    }.items():  # fmt: skip
        _set(writer, f"{architecture}.{name}", value)
    tensors = _Tensors(writer, seed)
    tensors.matrix("token_embd.weight", tokens, shape.width)
    norm = "token_embd_norm.weight" if architecture == "lfm2" else "output_norm.weight"
    tensors.norm(norm, shape.width)
    return writer, tensors


def _set(writer: gguf.GGUFWriter, key: str, value: int | float | bool | list[int]) -> None:
    """Set a key, also one that the writer has."""
    for shard in writer.kv_data:
        shard.pop(key, None)
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    else:
        writer.add_uint32(key, value)


def _ssm(writer: gguf.GGUFWriter, architecture: str, shape: Shape, *, mamba: bool) -> None:
    inner = 2 * shape.width if mamba else shape.state_heads * shape.state
    for name, value in {
        "conv_kernel": _CONV, "inner_size": inner, "state_size": shape.state,
        "time_step_rank": inner // shape.state, "group_count": shape.groups,
    }.items():  # fmt: skip
        _set(writer, f"{architecture}.ssm.{name}", value)


def qwen35(path: Path, *, seed: int = 11, shape: Shape = TINY) -> Path:
    """Three layers of gated delta net to one of attention."""
    writer, add = _begin(path, "qwen35", seed, shape)
    _ssm(writer, "qwen35", shape, mamba=False)
    _set(writer, "qwen35.rope.dimension_sections", list(shape.sections))
    heads, width, inner = shape.state_heads, shape.width, shape.state_heads * shape.state
    convolved = inner + 2 * shape.groups * shape.state
    for number in range(shape.blocks):
        block = f"blk.{number}."
        add.norm(block + "attn_norm.weight", width)
        add.norm(block + "post_attention_norm.weight", width)
        if number % 4 == 3:
            add.attention(block, shape, query=2)
            add.norm(block + "attn_q_norm.weight", shape.head)
            add.norm(block + "attn_k_norm.weight", shape.head)
        else:
            add.matrix(block + "attn_qkv.weight", convolved, width)
            add.matrix(block + "attn_gate.weight", inner, width)
            add.plain(block + "ssm_conv1d.weight", convolved, _CONV)
            add.plain(block + "ssm_dt.bias", heads)
            add.decay(block + "ssm_a", heads)
            add.plain(block + "ssm_beta.weight", heads, width)
            add.plain(block + "ssm_alpha.weight", heads, width)
            add.norm(block + "ssm_norm.weight", shape.state)
            add.matrix(block + "ssm_out.weight", width, inner)
        add.feed_forward(block, shape)
    return write(writer)


def lfm2(path: Path, *, seed: int = 12, shape: Shape = TINY) -> Path:
    """Short convolutions, with attention in every other layer."""
    writer, add = _begin(path, "lfm2", seed, shape)
    kv = [shape.heads_kv if number % 2 else 0 for number in range(shape.blocks)]
    _set(writer, "lfm2.attention.head_count_kv", kv)
    _set(writer, "lfm2.shortconv.l_cache", 3)
    for number in range(shape.blocks):
        block = f"blk.{number}."
        add.norm(block + "attn_norm.weight", shape.width)
        add.norm(block + "ffn_norm.weight", shape.width)
        if kv[number]:
            add.attention(block, shape)
            add.norm(block + "attn_q_norm.weight", shape.head)
            add.norm(block + "attn_k_norm.weight", shape.head)
        else:
            add.plain(block + "shortconv.conv.weight", shape.width, 3)
            add.matrix(block + "shortconv.in_proj.weight", 3 * shape.width, shape.width)
            add.matrix(block + "shortconv.out_proj.weight", shape.width, shape.width)
        add.feed_forward(block, shape)
    return write(writer)


def granitehybrid(path: Path, *, seed: int = 13, shape: Shape = TINY) -> Path:
    """Mamba 2, with attention in every fourth layer."""
    writer, add = _begin(path, "granitehybrid", seed, shape)
    kv = [shape.heads_kv if number % 4 == 3 else 0 for number in range(shape.blocks)]
    _set(writer, "granitehybrid.attention.head_count_kv", kv)
    _ssm(writer, "granitehybrid", shape, mamba=True)
    for number in range(shape.blocks):
        block = f"blk.{number}."
        add.norm(block + "attn_norm.weight", shape.width)
        add.norm(block + "ffn_norm.weight", shape.width)
        if kv[number]:
            add.attention(block, shape)
        else:
            add.mamba(block, shape)
        add.feed_forward(block, shape)
    return write(writer)


def bailingmoe3(path: Path, *, seed: int = 15, shape: Shape = TINY) -> Path:
    """Ling 3: three layers of delta attention to one of latent attention, four experts."""
    writer, add = _begin(path, "bailingmoe3", seed, shape)
    heads, head, width, experts = shape.heads, shape.head, shape.width, 4
    inner, key, expert = heads * head, head + _ROTATED, width
    kv = [1 if number % 4 == 3 else 0 for number in range(shape.blocks)]
    for name, value in {
        "attention.head_count_kv": kv, "attention.key_length": _LATENT + _ROTATED,
        "attention.value_length": _LATENT, "attention.key_length_mla": key,
        "attention.value_length_mla": head, "attention.kv_lora_rank": _LATENT,
        "rope.dimension_count": _ROTATED, "ssm.conv_kernel": _CONV, "kda.head_dim": head,
        "kda.safe_gate": True, "kda.gate_lower_bound": -5.0, "expert_count": experts,
        "expert_used_count": 2, "expert_feed_forward_length": expert, "expert_shared_count": 1,
        "leading_dense_block_count": 1, "expert_gating_func": 2,
    }.items():  # fmt: skip
        _set(writer, f"bailingmoe3.{name}", value)
    for number in range(shape.blocks):
        block = f"blk.{number}."
        add.norm(block + "attn_norm.weight", width)
        add.norm(block + "ffn_norm.weight", width)
        if kv[number]:
            add.matrix(block + "attn_q.weight", heads * key, width)
            add.matrix(block + "attn_kv_a_mqa.weight", _LATENT + _ROTATED, width)
            add.norm(block + "attn_kv_a_norm.weight", _LATENT)
            add.plain(block + "attn_k_b.weight", heads, _LATENT, head)
            add.plain(block + "attn_v_b.weight", heads, head, _LATENT)
            add.plain(block + "attn_gate.weight", heads, width)
        else:
            for which in "qkv":
                add.plain(block + f"ssm_conv1d_{which}.weight", 1, inner, 1, _CONV)
                add.matrix(block + f"attn_{which}.weight", inner, width)
            add.matrix(block + "ssm_f_a.weight", inner, width)
            add.plain(block + "ssm_beta.weight", heads, width)
            add.decay(block + "ssm_a", heads, 1)
            add.plain(block + "ssm_dt.bias", inner)
            add.matrix(block + "ssm_g_a.weight", inner, width)
            add.norm(block + "ssm_norm.weight", head)
        add.matrix(block + "attn_output.weight", width, inner)
        if number == 0:
            add.feed_forward(block, shape)
            continue
        add.plain(block + "ffn_gate_inp.weight", experts, width)
        add.plain(block + "exp_probs_b.bias", experts)
        for which, size in {
            "gate": (expert, width), "up": (expert, width), "down": (width, expert),
        }.items():  # fmt: skip
            add.matrix(block + f"ffn_{which}_exps.weight", experts, *size)
            add.matrix(block + f"ffn_{which}_shexp.weight", *size)
    return write(writer)


FAMILIES: dict[str, Callable[..., Path]] = {
    "qwen35": qwen35, "lfm2": lfm2, "granitehybrid": granitehybrid,
    "bailingmoe3": bailingmoe3,
}  # fmt: skip
