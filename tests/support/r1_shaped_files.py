"""Files with R1-Distill-Qwen's real metadata, vocabulary and template, and random weights."""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from support.raw_gguf import U32, RawGguf, RawTensor

F32, Q4_K, Q6_K = 0, 12, 14  # ggml's numbers
BLOCK_VALUES = 256
BLOCK_BYTES = {Q4_K: 144, Q6_K: 210}
ALIGNMENT = 32


class Shape(NamedTuple):
    """The sizes of a model but for its vocabulary, which is the published one's."""

    layers: int
    width: int
    feed_forward: int
    heads: int
    kv_heads: int


TINY = Shape(4, 256, 768, 4, 2)
OF_1_5B = Shape(28, 1536, 8960, 12, 2)


def write_r1_shaped(header: Path, shape: Shape, path: Path) -> None:
    """Write a file of this shape to `path`; `header` has the first bytes of the published 7B."""
    model = RawGguf.parse(header.read_bytes())
    rows = model.tensor("token_embd.weight").shape[1]
    sizes = {
        "block_count": shape.layers, "embedding_length": shape.width,
        "feed_forward_length": shape.feed_forward,
        "attention.head_count": shape.heads, "attention.head_count_kv": shape.kv_heads,
    }  # fmt: skip
    for key, size in sizes.items():
        model.set(f"qwen2.{key}", U32, size)
    model.tensors, end = [], 0
    for name, values, kind in _tensors(shape, rows):
        model.tensors.append(RawTensor(name.encode(), values, kind, end, b""))
        end += -(-_bytes_of(values, kind) // ALIGNMENT) * ALIGNMENT
    random = np.random.default_rng(0)
    with path.open("wb") as out:
        out.write(model.header())
        for each in model.tensors:
            out.write(bytes(-out.tell() % ALIGNMENT))
            out.write(_weights(random, each))
        out.write(bytes(-out.tell() % ALIGNMENT))


def _tensors(shape: Shape, rows: int) -> Iterator[tuple[str, list[int], int]]:
    """Name, sizes (the row first) and type of each tensor, in a file's order."""
    width, keys = shape.width, shape.kv_heads * (shape.width // shape.heads)
    yield "output.weight", [width, rows], Q6_K
    yield "output_norm.weight", [width], F32
    yield "token_embd.weight", [width, rows], Q4_K
    for i in range(shape.layers):
        outside = i < shape.layers // 8 or i >= 7 * shape.layers // 8
        finer = Q6_K if outside or i % 3 == 2 else Q4_K
        for name, values, kind in (
            ("attn_k.bias", [keys], F32),
            ("attn_k.weight", [width, keys], Q4_K),
            ("attn_norm.weight", [width], F32),
            ("attn_output.weight", [width, width], Q4_K),
            ("attn_q.bias", [width], F32),
            ("attn_q.weight", [width, width], Q4_K),
            ("attn_v.bias", [keys], F32),
            ("attn_v.weight", [width, keys], finer),
            ("ffn_down.weight", [shape.feed_forward, width], finer),
            ("ffn_gate.weight", [width, shape.feed_forward], Q4_K),
            ("ffn_norm.weight", [width], F32),
            ("ffn_up.weight", [width, shape.feed_forward], Q4_K),
        ):
            yield f"blk.{i}.{name}", values, kind


def _bytes_of(values: list[int], kind: int) -> int:
    return prod(values) * 4 if kind == F32 else prod(values) // BLOCK_VALUES * BLOCK_BYTES[kind]


def _weights(random: np.random.Generator, tensor: RawTensor) -> bytes:
    """Random blocks whose scales make weights of about 0.02; plain norms, and no biases."""
    if tensor.kind == F32:
        plain = np.zeros if tensor.name.endswith(b"bias") else np.ones
        return plain(tensor.shape, np.float32).tobytes()
    count, size = prod(tensor.shape) // BLOCK_VALUES, BLOCK_BYTES[tensor.kind]
    raw = np.frombuffer(random.bytes(count * size), np.uint8).reshape(count, size).copy()
    if tensor.kind == Q4_K:
        raw[:, 0:2], raw[:, 2:4] = _half(0.02 / 256), _half(0.02 / 64)
    else:
        raw[:, 208:210] = _half(0.02 / 2048)
    return raw.tobytes()


def _half(value: float) -> np.ndarray:
    return np.frombuffer(np.float16(value).tobytes(), np.uint8)
