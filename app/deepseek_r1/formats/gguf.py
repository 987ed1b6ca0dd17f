"""Reads the header of a model file strictly, without loading it and without native code.

The file may come from anywhere. Every count is limited, everything that would make llama.cpp abort
instead of fail is refused here, and every refusal is a `ModelRefused`.
"""

import re
import stat
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from deepseek_r1.core import wings
from deepseek_r1.core.errors import (
    ArchitectureTooNew,
    ArchitectureUnknown,
    EmbeddingModelUnfit,
    LegacyModelFile,
    ModelRefused,
    ModelWithoutWeights,
    SplitPartMissing,
    WingMissing,
)
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.model_names import with_size
from deepseek_r1.core.paths import STARTER_FILE, STARTER_NAME
from deepseek_r1.formats.container import Container, TensorInfo, read_container
from deepseek_r1.formats.cursor import printable
from deepseek_r1.formats.ggml_types import FILE_TYPES
from deepseek_r1.formats.header import FIRST_GGUF, ModelHeader
from deepseek_r1.formats.llama_names import CHAT, EMBEDDING, NOT_CHAT
from deepseek_r1.formats.shape import check_weights, read_shape
from deepseek_r1.formats.vocabulary import MERGES, TOKENS, chat_markers, check_vocabulary, end_text

__all__ = ["ModelHeader", "TensorInfo", "read_header"]

NAME_CHARACTERS = 120  # of a model's name; files may state megabytes
MAX_PARTS = 999
_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL)
_OLD_MAGICS = (b"lmgg", b"fmgg", b"tjgg", b"ccgg", b"algg")  # of formats from before GGUF
_FIRST_GGUF_FAMILIES = ("llama", "falcon")  # those that the engine for old files supports


def is_ggml(path: Path) -> bool:
    """True where the first four bytes are those of a format from before GGUF.

    False for a file that cannot be opened: reading it as GGUF then raises the error.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb", buffering=0) as file:
            return file.read(4) in _OLD_MAGICS
    except (OSError, ValueError):
        return False


def _old_header(path: Path) -> ModelHeader:
    try:
        header: ModelHeader = wings.entry("old_header")(path)
    except WingMissing as error:
        raise LegacyModelFile(path=str(path), format="GGML", detail=str(error)) from error
    return header


def read_header(path: Path, *, embedding: bool = False) -> ModelHeader:
    """The header of the model in `path`, or of all the files it is one part of.

    `embedding`: an embedding model is wanted in place of one to chat with.

    Raises a `ModelRefused`: missing, unreadable, empty, not a model, too old, truncated, damaged,
    without weights, of another kind than is wanted, or with a part missing.
    """
    path = Path(path)
    if is_ggml(path) and not embedding:
        return _old_header(path)
    parts = read_parts(path)
    first = parts[0]
    architecture = _architecture(first, embedding=embedding)
    tensors = _tensors(parts)
    for part in parts:
        if part.needed_bytes > part.file_bytes:
            raise part.truncated(part.needed_bytes, part.file_bytes)
    if not tensors:
        raise ModelWithoutWeights(path=str(first.path))
    shape = read_shape(first, architecture)
    vocabulary = check_vocabulary(first)
    arrays = first.arrays
    lists = {key: each.values for key, each in arrays.items() if len(each.values) == each.length}
    check_weights(first, tensors, shape, vocabulary)
    template, markers = first.text("tokenizer.chat_template"), chat_markers(first)
    return ModelHeader(
        path=first.path,
        parts=tuple(part.path for part in parts),
        file_bytes=sum(part.file_bytes for part in parts),
        version=first.version,
        architecture=architecture,
        name=_name(first),
        metadata={**first.values, **lists},
        tensors=tuple(
            replace(each, part=index) for index, part in enumerate(parts) for each in part.tensors
        ),
        template=template,
        vocabulary=vocabulary,
        **asdict(shape),
        quantisation=_quantisation(first, tensors),
        parameters=sum(each.elements for each in tensors.values()),
        has_output="output.weight" in tensors,
        tokenizer_model=first.text("tokenizer.ggml.model") or "",
        tokenizer_pre=first.text("tokenizer.ggml.pre") or "",
        markers=markers,
        thinks=any(tag in (template or "") or tag in markers for tag in _THINKING),
        merges=arrays[MERGES].length if MERGES in arrays else 0,
        template_bytes=_bytes_of(first, "tokenizer.chat_template"),
        vocabulary_bytes=_bytes_of(first, TOKENS, MERGES),
        special_tokens=first.special_tokens,
        end_text=end_text(first),
        states=tuple(part.state for part in parts),
    )


def read_parts(path: Path) -> list[Container]:
    """The headers of all files of the model that `path` belongs to, in the order of the parts.

    llama.cpp's tool names them `name-00001-of-00003.gguf`.
    """
    chosen = read_container(path)
    count = chosen.scalar("split.count", "u16") or 1
    if count == 1:
        return [chosen]
    name = _PART.fullmatch(path.name)
    if name is None or int(name["count"]) != count or count > MAX_PARTS:
        detail = tr("The file says it is one of {count}, but its name says otherwise.", count=count)
        raise SplitPartMissing(count=int(count), missing=path.name, detail=detail)
    parts = []
    for number in range(int(count)):
        part = path.with_name(f"{name['stem']}-{number + 1:05d}-of-{int(count):05d}.gguf")
        parts.append(_read_part(part, number, int(count), path))
    return parts


def _read_part(part: Path, number: int, count: int, chosen: Path) -> Container:
    facts: dict[str, str | int] = {"count": count, "missing": part.name}
    # A link in the model's folder must not make us read a file elsewhere.
    if part.is_symlink() and part.resolve().parent != chosen.resolve().parent:
        raise SplitPartMissing(**facts, detail=tr("It is a link to a file in another folder."))
    try:
        file = read_container(part)
        if file.needed_bytes > file.file_bytes:
            raise file.truncated(file.needed_bytes, file.file_bytes)
    except ModelRefused as error:
        raise SplitPartMissing(**facts, detail=str(error)) from error
    if file.scalar("split.count", "u16") != count or file.scalar("split.no", "u16") != number:
        detail = tr("It belongs to another model, or is out of order.")
        raise SplitPartMissing(**facts, detail=detail)
    return file


# In chat templates: `engine.output.reasoning` has what stands before and behind them.
_THINKING = ("<think>", "</think>", "<seed:think>", "<|channel|>analysis")


def _bytes_of(file: Container, *keys: str) -> int:
    """The bytes that the values of keys take in the file."""
    return sum(end - start for key, (start, end) in file.spans.items() if key in keys)


def _architecture(file: Container, *, embedding: bool) -> str:
    architecture = file.text("general.architecture")
    if architecture is None:
        raise file.damaged(tr("the key {key} is missing", key="general.architecture"))
    kind = file.text("general.type") or "model"
    if embedding:
        if architecture not in EMBEDDING or kind != "model":
            detail = tr("It is a model of type “{type}”.", type=printable(architecture))
            raise EmbeddingModelUnfit(path=str(file.path), detail=detail)
        file.number(f"{architecture}.pooling_type", 1, 3)  # to one vector; 4 is a reranker
        return architecture
    known = _FIRST_GGUF_FAMILIES if file.version == FIRST_GGUF else CHAT
    if architecture not in known or kind != "model":
        shown = architecture if kind == "model" else f"{architecture}, {kind}"
        of_today = architecture in CHAT | EMBEDDING | NOT_CHAT or kind != "model"
        refusal = ArchitectureUnknown if of_today else ArchitectureTooNew
        raise refusal(path=str(file.path), architecture=printable(shown))
    return architecture


def _tensors(parts: list[Container]) -> dict[str, TensorInfo]:
    found: dict[str, TensorInfo] = {}
    for part in parts:
        for tensor in part.tensors:
            if tensor.name in found:
                detail = tr("It repeats a tensor of another part.")
                raise SplitPartMissing(count=len(parts), missing=part.path.name, detail=detail)
            found[tensor.name] = tensor
    return found


def _quantisation(file: Container, tensors: Mapping[str, TensorInfo]) -> str:
    """The name of `general.file_type`, else the type of most of the weights."""
    named = FILE_TYPES.get(file.number("general.file_type", 0, 1 << 31, 1 << 31))
    if named is not None:
        return named
    weights: Counter[str] = Counter()
    for each in tensors.values():
        weights[each.type_name] += each.elements
    return weights.most_common(1)[0][0]


def _name(file: Container) -> str:
    """The model's name for people. The starter's file contains that of a training run instead."""
    if file.path.name == STARTER_FILE:
        return STARTER_NAME
    stated = (file.text("general.name") or "")[:NAME_CHARACTERS]
    name = "".join(c if c.isprintable() else " " for c in stated).strip() or file.path.stem
    return with_size(name, file.text("general.size_label"))[:NAME_CHARACTERS]
