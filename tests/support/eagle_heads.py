"""EAGLE-3 heads for a model of ours: random weights, real structure, that model's vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

from deepseek_r1.engine.llama.library import library
from deepseek_r1.engine.llama.model import LlamaModel
from deepseek_r1.engine.llama.speculative.eagle_head import EagleHead
from deepseek_r1.engine.llama.speculative.vocabulary_map import VocabularyMap
from deepseek_r1.formats.container import read_container
from deepseek_r1.formats.eagle3 import head_facts
from deepseek_r1.formats.gguf import read_draft_header, read_header
from support.gguf_files import EMBEDDING, write
from support.raw_gguf import RawGguf
from support.streaming import Bench

Floats = npt.NDArray[np.float32]

HEADS, HEADS_KV, HEAD_WIDTH, FEED_FORWARD = 4, 2, 16, 96
FREQ_BASE, EPSILON = 10000.0, 1e-5


def head_weights(
    width: int,
    target_width: int,
    tokens: int,
    *,
    outputs: int | None = None,
    own_embedding: bool = False,
    norm_before_fc: bool = False,
    seed: int = 7,
) -> dict[str, Floats]:
    """Random weights of a head by their names in the file, rows first as numpy has them."""
    random = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> Floats:
        scale = 1 / np.sqrt(columns)
        return random.standard_normal((rows, columns), dtype=np.float32) * np.float32(scale)

    def scales(size: int) -> Floats:
        return 1 + random.standard_normal(size, dtype=np.float32) * np.float32(0.1)

    weights = {
        "fc.weight": matrix(width, 3 * target_width),
        "blk.0.attn_norm.weight": scales(width),
        "blk.0.attn_norm_2.weight": scales(width),
        "blk.0.attn_q.weight": matrix(HEADS * HEAD_WIDTH, 2 * width),
        "blk.0.attn_k.weight": matrix(HEADS_KV * HEAD_WIDTH, 2 * width),
        "blk.0.attn_v.weight": matrix(HEADS_KV * HEAD_WIDTH, 2 * width),
        "blk.0.attn_output.weight": matrix(width, HEADS * HEAD_WIDTH),
        "blk.0.ffn_norm.weight": scales(width),
        "blk.0.ffn_gate.weight": matrix(FEED_FORWARD, width),
        "blk.0.ffn_up.weight": matrix(FEED_FORWARD, width),
        "blk.0.ffn_down.weight": matrix(width, FEED_FORWARD),
        "output_norm.weight": scales(width),
        "output.weight": matrix(tokens if outputs is None else outputs, width),
    }
    if own_embedding:
        weights["token_embd.weight"] = matrix(tokens, width)
    if norm_before_fc:
        weights["enc.output_norm.weight"] = scales(3 * target_width)
    return weights


def write_head(
    path: Path,
    target: Path,
    weights: dict[str, Floats],
    *,
    layers: Sequence[int],
    target_width: int,
    table: Sequence[int] | None = None,
    norm_before_residual: bool = False,
) -> Path:
    """Write a head for `target`, whose vocabulary it gets; `table` has the tokens it can draft."""
    writer = gguf.GGUFWriter(path, "eagle3")
    writer.add_type("model")
    writer.add_name("Head")
    writer.add_context_length(512)
    writer.add_embedding_length(weights["output_norm.weight"].shape[0])
    writer.add_feed_forward_length(weights["blk.0.ffn_up.weight"].shape[0])
    writer.add_block_count(1)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS_KV)
    writer.add_key_length(HEAD_WIDTH)
    writer.add_value_length(HEAD_WIDTH)
    writer.add_rope_dimension_count(HEAD_WIDTH)
    writer.add_rope_freq_base(FREQ_BASE)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_array("eagle3.target_layers", list(layers))
    writer.add_uint32("eagle3.target_hidden_size", target_width)
    writer.add_bool("eagle3.norm_before_residual", norm_before_residual)
    writer.add_bool("eagle3.norm_before_fc", "enc.output_norm.weight" in weights)
    for name, data in weights.items():
        writer.add_tensor(name, data)
    if table is not None:
        writer.add_tensor("d2t", np.array(table, dtype=np.int64))
    return with_vocabulary(write(writer), target)


def make_head(path: Path, target: Path, *, table: list[int] | None = None, **changed) -> Path:
    """A head for a tiny model, with `table` the tokens that it drafts, or one that is `changed`."""
    count = read_header(target).vocabulary
    options = {"layers": (0, 1, 1), "target_width": EMBEDDING, "width": EMBEDDING} | changed
    weights = head_weights(
        options.pop("width"),
        options["target_width"],
        count,
        outputs=None if table is None else len(table),
        own_embedding=options.pop("own_embedding", False),
    )
    return write_head(path, target, weights, table=table, **options)


def starter_head(path: Path, target: Path, table: Sequence[int], first: int = 0) -> Path:
    """A head for the starter model, or for its first blocks. It reads layers from `first` on."""
    header = read_header(target)
    layers = (first, header.blocks // 2, header.blocks - 1)
    width = header.embedding
    return make_head(
        path, target, table=list(table), layers=layers, target_width=width, width=width
    )


def attached(bench: Bench, path: Path) -> EagleHead:
    """The head in a file, following a loaded target."""
    tokens = [read_container(each).tokens for each in (bench.header.path, path)]
    vocabulary = VocabularyMap(*tokens, target_name="a", draft_name="b")
    facts = head_facts(read_draft_header(path))
    assert facts is not None
    model = LlamaModel(library(), (path,), lambda _fraction: True, head=True)
    head = EagleHead(library(), model, vocabulary, facts, threads=(2, 2))
    head.attach(bench.context)
    return head


def with_vocabulary(head: Path, target: Path) -> Path:
    """Give a file the tokenizer of `target`."""
    file, source = (RawGguf.parse(each.read_bytes()) for each in (head, target))
    file.keys += [each for each in source.keys if each.name.startswith(b"tokenizer.ggml.")]
    return file.write(head)
