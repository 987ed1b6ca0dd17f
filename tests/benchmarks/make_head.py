"""Write an EAGLE-3 head for a model: the shape of the published heads for R1, random weights.

    .venv/bin/python tests/benchmarks/make_head.py TARGET HEAD [--outputs 32000]

Its drafts are never right. It serves to measure memory and time: bench_drafts_playback.py decides
by chance which of its tokens count as right. The layer has the target's width, heads and
feed-forward size, in Q4_0.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "app"), str(ROOT / "tests")]

import gguf
import numpy as np

from deepseek_r1.formats.gguf import ModelHeader, read_header
from support.gguf_files import write
from support.raw_gguf import RawGguf

_KEYS_BYTES = 64 << 20  # a file's keys are within its first bytes
_BLOCK_VALUES, _BLOCK_BYTES = 32, 18  # of Q4_0: a scale in two bytes, and four bits a value


def random_q4_0(rows: int, columns: int, random: np.random.Generator) -> np.ndarray:
    """Return the bytes of random weights around zero: `rows` rows of `columns` weights."""
    blocks = np.empty((rows * columns // _BLOCK_VALUES, _BLOCK_BYTES), dtype=np.uint8)
    scale = np.float16(0.2 / np.sqrt(columns))
    blocks[:, :2] = np.frombuffer(scale.tobytes(), dtype=np.uint8)
    blocks[:, 2:] = random.integers(0, 256, blocks[:, 2:].shape, dtype=np.uint8)
    return blocks.reshape(rows, -1)


def add_weights(writer: gguf.GGUFWriter, target: ModelHeader, outputs: int) -> None:
    """Add all weights of the head, with fixed random values."""
    random = np.random.default_rng(1)
    width, feed_forward = target.embedding, target.feed_forward
    query, key = target.heads * target.key_length, target.heads_kv * target.key_length
    matrices = {
        "fc": (width, 3 * width),
        "blk.0.attn_q": (query, 2 * width),
        "blk.0.attn_k": (key, 2 * width),
        "blk.0.attn_v": (key, 2 * width),
        "blk.0.attn_output": (width, query),
        "blk.0.ffn_gate": (feed_forward, width),
        "blk.0.ffn_up": (feed_forward, width),
        "blk.0.ffn_down": (width, feed_forward),
        "output": (outputs, width),
    }
    kind = gguf.GGMLQuantizationType.Q4_0
    for name, size in matrices.items():
        writer.add_tensor(f"{name}.weight", random_q4_0(*size, random), raw_dtype=kind)
    for name in ("blk.0.attn_norm", "blk.0.attn_norm_2", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(width, dtype=np.float32))
    writer.add_tensor("d2t", np.arange(outputs, dtype=np.int64))


def add_keys(writer: gguf.GGUFWriter, target: ModelHeader) -> list[int]:
    """Add the head's keys but those of its tokenizer. Returns the target's layers that it reads."""
    writer.add_type("model")
    writer.add_name(f"A head for {target.name}, random")
    writer.add_context_length(target.context_trained)
    writer.add_embedding_length(target.embedding)
    writer.add_feed_forward_length(target.feed_forward)
    writer.add_block_count(1)
    writer.add_head_count(target.heads)
    writer.add_head_count_kv(target.heads_kv)
    writer.add_key_length(target.key_length)
    writer.add_value_length(target.key_length)
    writer.add_rope_dimension_count(target.key_length)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    layers = [2, target.blocks // 2, target.blocks - 3]
    writer.add_array("eagle3.target_layers", layers)
    writer.add_uint32("eagle3.target_hidden_size", target.embedding)
    writer.add_bool("eagle3.norm_before_residual", True)
    writer.add_bool("eagle3.norm_before_fc", False)
    return layers


def copy_tokenizer(source: Path, head: Path) -> None:
    """Add the keys of the source's tokenizer to the head."""
    with source.open("rb") as file:
        keys = RawGguf.parse(file.read(_KEYS_BYTES)).keys
    copy = RawGguf.parse(head.read_bytes())
    copy.keys += [each for each in keys if each.name.startswith(b"tokenizer.ggml.")]
    copy.write(head)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path)
    parser.add_argument("head", type=Path)
    parser.add_argument("--outputs", type=int, default=32_000, help="tokens that it can draft")
    given = parser.parse_args()
    target = read_header(given.target)
    writer = gguf.GGUFWriter(given.head, "eagle3")
    layers = add_keys(writer, target)
    add_weights(writer, target, min(given.outputs, target.vocabulary))
    write(writer)
    copy_tokenizer(given.target, given.head)
    print(f"{given.head}: {given.head.stat().st_size / 1e6:.0f} MB, for layers {layers}")


if __name__ == "__main__":
    main()
