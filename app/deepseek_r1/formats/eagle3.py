"""Reads what an EAGLE-3 head says about itself, and checks that its weights are as it says.

A head is one decoder layer. It drafts from the hidden states of three layers of the model that it
was trained for, and from that model's tokens. llama.cpp's `models/eagle3.cpp` asserts or writes to
unchecked addresses where a head contradicts itself, so all of that is checked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.architectures import EAGLE3
from deepseek_r1.formats.container import Container, TensorEntry
from deepseek_r1.formats.header import ModelHeader
from deepseek_r1.formats.metadata import Metadata
from deepseek_r1.formats.shape import MAX_LAYERS, MAX_WIDTH, ModelShape, check_shapes, check_type

LAYERS = 3  # of the target, whose inputs a head reads
ID_TABLE = "d2t"  # the target's token for each of the head's, where it has fewer
_LAYERS_KEY = f"{EAGLE3}.target_layers"
_WIDTH_KEY = f"{EAGLE3}.target_hidden_size"
_SCALES = ("blk.0.attn_norm_2.weight", "rope_freqs.weight")
_NUMBER = 8  # bytes of an entry of the table


@dataclass(frozen=True, slots=True)
class HeadFacts:
    """The facts of a head that decide whether it fits a model, and what it takes."""

    layers: tuple[int, ...]  # of the target: their inputs are what the head reads
    target_width: int  # the target's hidden size
    outputs: int  # tokens that it can draft
    own_embedding: bool  # else the target's is used


def head_facts(header: ModelHeader) -> HeadFacts | None:
    """The facts of a head; None for a model of another kind."""
    if header.architecture != EAGLE3:
        return None
    layers, width = header.metadata[_LAYERS_KEY], header.metadata[_WIDTH_KEY]
    assert isinstance(layers, tuple)  # noqa: S101 - checked by `check_head`
    tensors = {each.name: each for each in header.tensors}
    return HeadFacts(
        layers=tuple(int(each) for each in layers),
        target_width=int(width) if isinstance(width, int) else 0,
        outputs=tensors["output.weight"].shape[1],
        own_embedding="token_embd.weight" in tensors,
    )


def check_head(
    file: Container, tensors: Mapping[str, TensorEntry], shape: ModelShape, tokens: int
) -> None:
    """Check a head's keys and weights. Raises ModelFileDamaged."""
    keys = Metadata(file)
    keys.number(f"{EAGLE3}.block_count", 1, 1)
    layers = keys.array(_LAYERS_KEY, "u32", "i32")
    if layers is None:
        raise keys.damaged(tr("the key {key} is missing", key=_LAYERS_KEY))
    if layers.length != LAYERS or not all(0 <= int(each) < MAX_LAYERS for each in layers.values):
        value = ", ".join(map(str, layers.values))[:40]
        raise keys.damaged(tr("the key {key} has the value {value}", key=_LAYERS_KEY, value=value))
    if keys.real(f"{EAGLE3}.attention.layer_norm_rms_epsilon", 0.0, 1.0) is None:
        key = f"{EAGLE3}.attention.layer_norm_rms_epsilon"
        raise keys.damaged(tr("the key {key} is missing", key=key))
    keys.flag(f"{EAGLE3}.norm_before_residual")
    features = LAYERS * keys.number(_WIDTH_KEY, 1, MAX_WIDTH)
    wanted = _shapes(shape, features)
    if keys.flag(f"{EAGLE3}.norm_before_fc"):
        wanted["enc.output_norm.weight"] = (features,)
    if "token_embd.weight" in tensors:
        wanted["token_embd.weight"] = (shape.embedding, tokens)
    if "rope_freqs.weight" in tensors:
        rotated = keys.number(f"{EAGLE3}.rope.dimension_count", 2, MAX_WIDTH, shape.key_length)
        wanted["rope_freqs.weight"] = (rotated // 2,)
    outputs = _outputs(file, keys, tensors, tokens)
    check_shapes(keys, tensors, wanted | {"output.weight": (shape.embedding, outputs)})
    for tensor in tensors.values():
        if tensor.name != ID_TABLE:
            check_type(keys, tensor, scales=tensor.name in _SCALES)


def _shapes(shape: ModelShape, features: int) -> dict[str, tuple[int, ...]]:
    """The shapes of the weights that every head has."""
    width, inner = shape.embedding, shape.feed_forward
    query, key = shape.heads * shape.key_length, shape.heads_kv * shape.key_length
    return {
        "fc.weight": (features, width),
        "output_norm.weight": (width,),
        "blk.0.attn_norm.weight": (width,),
        "blk.0.attn_norm_2.weight": (width,),
        "blk.0.attn_q.weight": (2 * width, query),
        "blk.0.attn_k.weight": (2 * width, key),
        "blk.0.attn_v.weight": (2 * width, key),
        "blk.0.attn_output.weight": (query, width),
        "blk.0.ffn_norm.weight": (width,),
        "blk.0.ffn_gate.weight": (width, inner),
        "blk.0.ffn_up.weight": (width, inner),
        "blk.0.ffn_down.weight": (inner, width),
    }


def _outputs(
    file: Container, keys: Metadata, tensors: Mapping[str, TensorEntry], tokens: int
) -> int:
    """How many tokens the head can draft; its table of them is checked."""
    table = tensors.get(ID_TABLE)
    if table is None:
        return tokens
    unfit = keys.damaged(tr("the key {key} does not fit the vocabulary", key=ID_TABLE))
    flat = table.kind.name == "I64" and len(table.shape) == 1
    if not flat or table.elements > tokens or table not in file.tensors:
        raise unfit
    with file.path.open("rb") as opened:
        opened.seek(file.data_start + table.offset)
        read = opened.read(table.nbytes)
    ids = {
        int.from_bytes(read[at : at + _NUMBER], "little", signed=True)
        for at in range(0, len(read), _NUMBER)
    }
    # Twice the same: the table has offsets, as some files do before they are converted.
    if len(ids) != table.elements or min(ids) < 0 or max(ids) >= tokens:
        raise unfit
    return table.elements
