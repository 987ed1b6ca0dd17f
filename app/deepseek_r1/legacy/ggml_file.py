"""Reads models from before GGUF (`.bin`) strictly: GGML, GGMF, GGJT and GGCC files.

The engine for these files checks almost nothing: a missing tensor is whatever was in memory, and a
wrong size aborts the process. So everything is checked here, in the same child process, before
native code opens the file.
"""

import math
import struct
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from deepseek_r1.core.errors import LegacyModelFile, ModelFileDamaged, ModelFileTruncated
from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.container import TensorInfo
from deepseek_r1.formats.cursor import Refusals, opened
from deepseek_r1.formats.ggml_types import F32, FILE_TYPES, TENSOR_TYPES, TensorType
from deepseek_r1.formats.header import ModelHeader
from deepseek_r1.legacy.ggml_layouts import (
    ADAPTER,
    ALIGNED,
    LAYOUTS,
    MAGICS,
    UNVERSIONED,
    VERSIONS,
    GgmlLayout,
    Sizes,
)

MAX_VOCABULARY: Final = 1_000_000
MAX_LAYERS: Final = 512
MAX_WIDTH: Final = 1 << 17
MAX_CONTEXT: Final = 1 << 20
MAX_TOKEN_BYTES: Final = 4096
MAX_NAME_BYTES: Final = 128
ALIGNMENT: Final = 32
_VERSION_FACTOR: Final = 1000  # ftype = version of the quantised blocks * 1000 + type
_BLOCKS_VERSION: Final = 2  # today's layout of quantised blocks
_PLAIN: Final = ("F32", "F16")
# `enum ggml_ftype`: the type of all matrices of a file of the GPT families.
_WEIGHT_TYPES: Final = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1",
    10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K",
}  # fmt: skip
_READABLE: Final = frozenset(_WEIGHT_TYPES.values())
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


class GgmlReader(Refusals):
    """A position in an open file. Every read is checked against the file's size."""

    def __init__(self, file: BinaryIO, path: Path, file_bytes: int) -> None:
        self.path, self.file_bytes, self.position, self._file = path, file_bytes, 0, file
        self.container, self.version = "", 0  # the oldest container has no version

    @property
    def at_end(self) -> bool:
        return self.position >= self.file_bytes

    def go_to(self, position: int) -> None:
        """Continue at a position. Raises ModelFileTruncated where it is behind the file's end."""
        if position > self.file_bytes:
            raise self.truncated(position, self.file_bytes)
        self.position = position
        self._file.seek(position)

    def take(self, count: int) -> bytes:
        end = self.position + count
        if end > self.file_bytes:
            raise self.truncated(end, self.file_bytes)
        data = self._file.read(count)
        if len(data) != count:  # the file shrank while we read
            raise self.truncated(end, self.position + len(data))
        self.position = end
        return data

    def numbers(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}i", self.take(4 * count))

    def real(self) -> float:
        (number,) = struct.unpack("<f", self.take(4))
        return float(number)

    def token(self) -> bytes:
        (size,) = struct.unpack("<I", self.take(4))
        if size > MAX_TOKEN_BYTES:
            raise self.damaged(tr("a text has {size} bytes", size=size))
        return self.take(size)

    def tensor_head(self) -> tuple[str, tuple[int, ...], int]:
        """A tensor's name, its shape with the row first, and the number of its type."""
        dimensions, length, kind = self.numbers(3)
        if not 1 <= dimensions <= 2 or not 1 <= length <= MAX_NAME_BYTES:
            raise self.damaged(tr("a tensor has no proper name"))
        shape = self.numbers(dimensions)
        raw = self.take(length)
        if not raw.isascii() or not raw.decode().isprintable():
            raise self.damaged(tr("a tensor has no proper name"))
        return raw.decode(), shape, kind


class _Vocabulary(NamedTuple):
    """The family that a vocabulary belongs to, and the bytes that are no word of it."""

    family: str
    missing: bytes


def read_ggml_header(path: Path) -> ModelHeader:
    """Read the file's header. Raises a ModelRefused for a file that the engine must not open."""
    with opened(path) as (file, size):
        return _read(GgmlReader(file, path, size))


def _read(reader: GgmlReader) -> ModelHeader:
    container = reader.container = MAGICS[reader.take(4)]
    facts = {"path": str(reader.path), "format": container}
    if container == ADAPTER:
        detail = tr("It is an addition to a model, not a model.")
        raise LegacyModelFile(**facts, detail=detail)
    version = reader.version = 0 if container == UNVERSIONED else reader.numbers(1)[0]
    if version not in VERSIONS[container]:
        raise LegacyModelFile(**facts, detail=tr("Its version {n} is unknown.", n=version))
    start = reader.position
    for layout in LAYOUTS:
        if container in layout.containers:
            reader.go_to(start)
            found = _fit(reader, layout)
            if found is not None:
                return _header(reader, layout, found)
    detail = tr("It is of none of the families that can be read here.")
    raise LegacyModelFile(**facts, detail=detail)


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
    reader: GgmlReader, layout: GgmlLayout, found: tuple[dict[str, int], _Vocabulary]
) -> ModelHeader:
    sizes, (family, missing) = found
    quantisation = _read_type(reader, layout, sizes["ftype"])
    tensors = _read_tensors(reader, layout, sizes, quantisation)
    head_width = sizes["n_embd"] // sizes["n_head"]
    return ModelHeader(
        path=reader.path,
        parts=(reader.path,),
        file_bytes=reader.file_bytes,
        version=reader.version,
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
        container=reader.container,
    )


def _read_type(reader: GgmlReader, layout: GgmlLayout, ftype: int) -> str:
    """The name of the file's quantisation.

    Raises LegacyModelFile where its blocks are older than those that the engine reads. Their layout
    changed twice in May 2023; an old block that is read in the new layout is noise.
    """
    if layout.one_type:
        blocks, number = divmod(ftype, _VERSION_FACTOR)
        name = _WEIGHT_TYPES.get(number)
        current = blocks == _BLOCKS_VERSION
    else:
        name = FILE_TYPES.get(ftype % _VERSION_FACTOR)
        current = reader.version in layout.current_versions
    if name is None:
        raise reader.wrong_value("ftype", ftype)
    if name not in _PLAIN and not current:
        raise LegacyModelFile(
            path=str(reader.path),
            format=f"{reader.container} {name}",
            detail=tr("Its numbers are packed in a way that was given up in May 2023."),
        )
    return name


def _read_tensors(
    reader: GgmlReader, layout: GgmlLayout, sizes: Sizes, quantisation: str
) -> tuple[TensorInfo, ...]:
    """The tensors, complete and without gaps. Raises ModelFileDamaged, ModelFileTruncated."""
    wanted = dict(layout.shapes(sizes))
    found: dict[str, TensorInfo] = {}
    while not reader.at_end:
        name, shape, number = reader.tensor_head()
        if name in found:
            raise reader.damaged(tr("the tensor {name} is there twice", name=name))
        if wanted.get(name) != shape:
            raise reader.damaged(tr("the tensor {name} has an impossible shape", name=name))
        kind = _suitable_type(reader, layout, (name, shape, number), quantisation)
        start = (
            -(-reader.position // ALIGNMENT) * ALIGNMENT
            if reader.container in ALIGNED
            else reader.position
        )
        elements = shape[0] * (shape[1] if len(shape) > 1 else 1)
        found[name] = TensorInfo(name, shape, kind.name, kind.nbytes(elements), offset=start)
        reader.go_to(start + found[name].nbytes)
    for name in wanted:
        if name not in found and name not in layout.optional:
            raise reader.damaged(tr("the tensor {name} is missing", name=name))
    return tuple(found.values())


def _suitable_type(
    reader: GgmlReader,
    layout: GgmlLayout,
    head: tuple[str, tuple[int, ...], int],
    quantisation: str,
) -> TensorType:
    """The type of a tensor. Raises ModelFileDamaged where it does not suit the tensor.

    Vectors are F32; matrices have the file's one type, or in later files one of many.
    """
    name, shape, number = head
    kind = TENSOR_TYPES.get(number)
    if kind is None:
        raise reader.damaged(tr("the tensor {name} has the unknown type {n}", name=name, n=number))
    if len(shape) == 1 or name in layout.wide:
        suits = kind is F32
    elif layout.one_type:
        suits = kind.name == quantisation
    else:
        suits = kind.name in _READABLE
    if not suits or shape[0] % kind.block:
        raise reader.unsuited(name, kind.name)
    return kind
