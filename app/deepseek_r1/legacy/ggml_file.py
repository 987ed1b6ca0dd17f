"""Reads models from before GGUF (`.bin`) strictly: GGML, GGMF, GGJT and GGCC files.

The engine for these files checks almost nothing: a missing tensor is whatever was in memory, and a
wrong size aborts the process. So everything is checked here, in the same child process, before
native code opens the file.
"""

import math
from pathlib import Path
from typing import Final, NamedTuple

from deepseek_r1.core.errors import LegacyModelFile, ModelFileDamaged, ModelFileTruncated
from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.cursor import opened
from deepseek_r1.formats.header import ModelHeader
from deepseek_r1.legacy.ggml_layouts import (
    ADAPTER,
    LAYOUTS,
    MAGICS,
    UNVERSIONED,
    VERSIONS,
    GgmlFormat,
    GgmlLayout,
    Sizes,
)
from deepseek_r1.legacy.ggml_tensors import GgmlReader, read_tensors, read_type

MAX_VOCABULARY: Final = 1_000_000
MAX_LAYERS: Final = 512
MAX_WIDTH: Final = 1 << 17
MAX_CONTEXT: Final = 1 << 20
_RANGES: Final = {
    "n_vocab": (1, MAX_VOCABULARY),
    "n_ctx": (1, MAX_CONTEXT),
    "n_embd": (1, MAX_WIDTH),
    "n_head": (2, MAX_WIDTH),  # with one, the engine writes beyond a buffer where it joins them
    "n_head_kv": (1, MAX_WIDTH),
    "n_layer": (1, MAX_LAYERS),
    "n_rot": (1, MAX_WIDTH),  # the engine divides by it
    "n_mult": (1, MAX_WIDTH),
    "n_merges": (0, MAX_VOCABULARY),
    "par_res": (0, 1),
    "ftype": (0, 9999),
}
# Families with the same layout, distinguished by one token of the vocabulary.
_FAMILY_TOKENS: Final = {
    b"<fim_prefix>": ("gpt2", "starcoder"),
    b"### End": ("gptneox", "dolly-v2"),
}
MISSING_BYTES: Final = "missing_bytes"  # in the metadata: see `GgmlLayout.byte_tokens`


class _Vocabulary(NamedTuple):
    """The family that a vocabulary belongs to, and the bytes that are no word of it."""

    family: str
    missing: bytes


def read_ggml_header(path: Path) -> ModelHeader:
    """Read the file's header. Raises a ModelRefused for a file that the engine must not open."""
    with opened(path) as (file, size):
        return _read(GgmlReader(file, path, size))


def _read(reader: GgmlReader) -> ModelHeader:
    container = MAGICS[reader.take(4)]

    def unreadable(detail: str) -> LegacyModelFile:
        return LegacyModelFile(path=str(reader.path), format=container, detail=detail)

    if container == ADAPTER:
        raise unreadable(tr("It is an addition to a model, not a model."))
    version = 0 if container == UNVERSIONED else reader.numbers(1)[0]
    if version not in VERSIONS[container]:
        raise unreadable(tr("Its version {n} is unknown.", n=version))
    start = reader.position
    for layout in LAYOUTS:
        if container in layout.containers:
            reader.go_to(start)
            found = _fit(reader, layout)
            if found is not None:
                return _header(reader, layout, found, GgmlFormat(container, version))
    raise unreadable(tr("It is of none of the families that can be read here."))


def _fit(reader: GgmlReader, layout: GgmlLayout) -> tuple[dict[str, int], _Vocabulary] | None:
    """The sizes and the vocabulary of a file that has this layout, else None.

    Leaves the reader before the first tensor, whose name must be one of the family's.
    """
    try:
        sizes = _sizes(reader, layout)
        if sizes is None:
            return None
        vocabulary = _skip_vocabulary(reader, layout, sizes)
        start = reader.position
        name, _, _ = reader.tensor_head()
        reader.go_to(start)
    except (ModelFileTruncated, ModelFileDamaged, UnicodeDecodeError):
        return None
    known = any(name == each for each, _ in layout.shapes(sizes))
    return (sizes, vocabulary) if vocabulary is not None and known else None


def _sizes(reader: GgmlReader, layout: GgmlLayout) -> dict[str, int] | None:
    """The sizes at the file's start and those derived from them; None where they are impossible."""
    sizes = dict(zip(layout.fields, reader.numbers(len(layout.fields)), strict=True))
    for name, (least, most) in _RANGES.items():
        if not least <= sizes.get(name, least) <= most:
            return None
    if sizes["n_embd"] % sizes["n_head"] or layout.kind != sizes.get("falcon_type", layout.kind):
        return None
    head_width = sizes["n_embd"] // sizes["n_head"]
    rotated = sizes.get("n_rot", 0)  # the engine aborts, or reads beyond a head, at any other
    if rotated > head_width or rotated % 2 or (layout.family == "llama" and rotated != head_width):
        return None
    sizes["n_ff"] = 4 * sizes["n_embd"]
    if multiple := sizes.get("n_mult"):  # LLaMA: two thirds of it, rounded up
        sizes["n_ff"] = -(-(2 * sizes["n_ff"] // 3) // multiple) * multiple
    heads_kv = sizes.setdefault("n_head_kv", sizes["n_head"])
    sizes["n_qkv"] = sizes["n_embd"] // sizes["n_head"] * (sizes["n_head"] + 2 * heads_kv)
    sizes.setdefault("n_ctx", layout.context)
    return sizes


def _skip_vocabulary(reader: GgmlReader, layout: GgmlLayout, sizes: Sizes) -> _Vocabulary | None:
    """Skip the vocabulary; returns what it is, None where it fits no family."""
    family = layout.family
    missing = set(range(256))
    if layout.counted and reader.numbers(1)[0] != sizes["n_vocab"]:
        return None
    for _ in range(sizes["n_vocab"]):
        token = reader.token()
        if layout.scored and not math.isfinite(reader.real()):
            return None
        if layout.utf8_tokens:  # the engine aborts the process at a token that is not UTF-8
            token.decode("utf-8")
        if len(token) == 1:
            missing.discard(token[0])
        base, special = _FAMILY_TOKENS.get(token, ("", ""))
        family = special if base == layout.family else family
    if "n_merges" in sizes:
        if reader.numbers(1)[0] != sizes["n_merges"]:
            return None
        for _ in range(2 * sizes["n_merges"]):
            reader.token()
    return _Vocabulary(family, bytes(sorted(missing)) if layout.byte_tokens else b"")


def _header(
    reader: GgmlReader,
    layout: GgmlLayout,
    found: tuple[dict[str, int], _Vocabulary],
    file: GgmlFormat,
) -> ModelHeader:
    sizes, (family, missing) = found
    quantisation = read_type(reader, layout, sizes["ftype"], file)
    tensors = read_tensors(reader, layout, sizes, quantisation, aligned=file.aligned)
    head_width = sizes["n_embd"] // sizes["n_head"]
    return ModelHeader(
        path=reader.path,
        parts=(reader.path,),
        file_bytes=reader.file_bytes,
        version=file.version,
        architecture=family,
        name=reader.path.stem,
        metadata={**sizes, MISSING_BYTES: missing.hex()},
        tensors=tensors,
        template=None,
        vocabulary=sizes["n_vocab"],
        context_trained=layout.usable_context(sizes, family),
        blocks=sizes["n_layer"],
        embedding=sizes["n_embd"],
        feed_forward=sizes["n_ff"],
        heads=sizes["n_head"],
        heads_kv=sizes["n_head_kv"],
        key_length=head_width,
        value_length=head_width,
        experts=0,
        quantisation=quantisation,
        parameters=sum(each.elements for each in tensors),
        has_output=not layout.optional or any(each.name in layout.optional for each in tensors),
        tokenizer_model="",
        tokenizer_pre="",
        container=file.container,
    )
