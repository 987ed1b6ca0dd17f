"""A conversion from wish to file: read what the source is, lay the output out, write it."""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from deepseek_r1.convert.errors import BudgetTooSmallToConvert, SourceChanged, SourceMissing
from deepseek_r1.convert.folder_source import read_folder
from deepseek_r1.convert.gguf_source import read_gguf
from deepseek_r1.convert.key_values import KeyValue, replaced, text, u32
from deepseek_r1.convert.layout import Layout, aligned, lay_out
from deepseek_r1.convert.output import Journal, Output, check_output
from deepseek_r1.convert.pieces import (
    BYTES_A_NUMBER,
    MOST_NUMBERS,
    Importance,
    PieceMaker,
    require_importance,
)
from deepseek_r1.convert.precision import Precision
from deepseek_r1.convert.tensors import Source
from deepseek_r1.core.words import tr
from deepseek_r1.engine.llama.quantise import Quantiser
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.memory import meter

_MIB: Final = 1 << 20
_READ_BYTES: Final = 4 << 20
_RESERVE_MIB: Final = 32  # what Python and the system's buffers take on the way
_QUANTISATION_VERSION: Final = 2  # GGML_QNT_VERSION


class Stage(StrEnum):
    """What is being done."""

    CHECKING = "checking"  # the source is read through for its digest
    RESUMING = "resuming"  # what an earlier run wrote is read again
    WRITING = "writing"


@dataclass(frozen=True, slots=True)
class Progress:
    """So many bytes of a stage are done; `tensor` is the one at hand."""

    stage: Stage
    done: int
    total: int
    tensor: str = ""


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What to convert, into what, and within which memory.

    `importance` is by GGUF's names, `importance_text` the name of the text it comes from.
    """

    source: Path
    output: Path
    precision: Precision
    memory_budget_mib: int
    force: bool = False
    threads: int = 0  # 0: as many as there are cores
    importance: Importance = field(default_factory=dict)
    importance_text: str = ""
    change: Callable[[Source], Source] | None = None  # made before writing; its keys tell of it
    change_from: str = ""  # a digest of what it was made from beside the source


@dataclass(frozen=True, slots=True)
class Converted:
    """What came of it. `kinds` counts tensors by type; `resumed_bytes` were there already."""

    path: Path
    architecture: str
    nbytes: int
    source_bytes: int
    sha256: str
    source_sha256: str
    tensors: int
    kinds: dict[str, int]
    resumed_bytes: int
    peak_mib: float
    wall_s: float
    remarks: tuple[str, ...]


def convert(wish: Wish, on_progress: OnProgress = lambda _progress: None) -> Converted:
    """Write `wish.output`. A run that is ended leaves what it has, and the next goes on there.

    Raises `ConversionRefused` and `ModelRefused` for what cannot be, before anything is written
    wherever that can be known.
    """
    started = time.monotonic()
    quantiser = Quantiser(wish.threads or os.cpu_count() or 1)
    try:
        source = read_source(wish.source, quantiser)
        if wish.change is not None:
            source = wish.change(source)
        check_output(wish.output, source.files, force=wish.force)
        output = Output(wish.output)
        with output.locked():
            sha256, resumed, layout, start = _write(wish, source, output, quantiser, on_progress)
            output.publish()
    finally:
        quantiser.close()
    return Converted(
        path=wish.output,
        architecture=source.architecture,
        nbytes=layout.nbytes,
        source_bytes=sum(each.stat().st_size for each in source.files),
        sha256=sha256,
        source_sha256=start.source_sha256,
        tensors=len(layout.places),
        kinds=dict(Counter(each.kind.name for each in layout.places)),
        resumed_bytes=resumed,
        peak_mib=meter.peak_mib(),
        wall_s=time.monotonic() - started,
        remarks=source.remarks,
    )


def read_source(path: Path, quantiser: Quantiser) -> Source:
    """The model at `path`, a folder or a GGUF file."""
    if path.is_dir():
        return read_folder(path)
    if not path.exists():
        raise SourceMissing(path=str(path), detail=tr("It is not there."))
    return read_gguf(path, quantiser)


def _write(
    wish: Wish, source: Source, output: Output, quantiser: Quantiser, on_progress: OnProgress
) -> tuple[str, int, Layout, Journal]:
    """The part file, whole. Returns its digest, the bytes that were there, and what it is."""
    identity = _identity(wish, source)
    earlier = output.journal()
    if earlier is None or earlier.sources != identity:
        earlier = None
        output.discard()
    contents = earlier.source_sha256 if earlier else _digest_of(source, on_progress)
    layout = lay_out(source, wish.precision, _keys(wish, source, contents))
    require_importance(layout.places, quantiser, wish.importance)
    maker = PieceMaker(quantiser, wish.importance, _piece_numbers(wish, layout))
    output.reserve(layout)
    _check_readable(output)
    header = hashlib.sha256(layout.header)
    start = Journal(identity, contents, header.hexdigest(), len(layout.header), header.hexdigest())
    digest = header
    if earlier and earlier.header_sha256 == start.header_sha256:
        found = _continued(output, earlier, on_progress)
        if found is not None:
            start, digest = earlier, found
    resumed = start.nbytes if digest is not header else 0
    with output.writer(layout, start, digest) as writer:
        for place in layout.places:
            done = min(max(writer.nbytes, place.offset), place.end) - place.offset
            for piece in maker.pieces(place, done // place.row_bytes):
                writer.write(piece)
                name = place.tensor.name
                on_progress(Progress(Stage.WRITING, writer.nbytes, layout.nbytes, name))
            writer.pad(aligned(place.end))
        sha256 = writer.sha256
    if _identity(wish, source) != identity:
        output.discard()
        raise SourceChanged(path=str(source.path))
    return sha256, resumed, layout, start


def _continued(output: Output, earlier: Journal, on_progress: OnProgress) -> hashlib._Hash | None:
    """The digest of what an earlier run wrote, after reading it again; None if it is not that."""
    done = 0

    def on_bytes(count: int) -> None:
        nonlocal done
        done += count
        on_progress(Progress(Stage.RESUMING, done, earlier.nbytes))

    return output.verified(earlier.nbytes, earlier.sha256, on_bytes)


def _check_readable(output: Output) -> None:
    """Our own strict reader takes what we are about to fill in, or the model cannot be used."""
    try:
        read_header(output.part)
    except Exception:
        output.discard()
        raise


def _keys(wish: Wish, source: Source, contents: str) -> tuple[KeyValue, ...]:
    fresh = [
        u32("general.quantization_version", _QUANTISATION_VERSION),
        u32("general.file_type", wish.precision.file_type),
        text("r1desk.source.name", source.path.resolve().name),
        text("r1desk.source.sha256", contents),
        text("r1desk.precision", wish.precision.name.lower()),
    ]
    if wish.importance:  # named as llama.cpp's own tool names them
        fresh.append(text("quantize.imatrix.dataset", wish.importance_text))
        fresh.append(u32("quantize.imatrix.entries_count", len(wish.importance)))
    return replaced(source.keys, fresh)


def _identity(wish: Wish, source: Source) -> str:
    """A digest of everything that decides the output, short of the files' contents."""
    digest = hashlib.sha256(wish.precision.name.encode())
    for each in source.files:
        found = each.stat()
        digest.update(f"\0{each.resolve()}\0{found.st_size}\0{found.st_mtime_ns}".encode())
    if wish.change is not None:
        for key in source.keys:
            digest.update(key.packed())
        digest.update(wish.change_from.encode())
    for name in sorted(wish.importance):
        digest.update(b"\0" + name.encode() + wish.importance[name].tobytes())
    return digest.hexdigest()


def _digest_of(source: Source, on_progress: OnProgress) -> str:
    """SHA-256 of a single file, else of the lines `digest  name` of all, as sha256sum has them."""
    total, done = sum(each.stat().st_size for each in source.files), 0
    lines = []
    for path in source.files:
        digest = hashlib.sha256()
        with path.open("rb", buffering=0) as file:
            while piece := file.read(_READ_BYTES):
                digest.update(piece)
                done += len(piece)
                on_progress(Progress(Stage.CHECKING, done, total))
        lines.append(f"{digest.hexdigest()}  {path.name}\n")
    if len(lines) == 1:
        return lines[0].split()[0]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _piece_numbers(wish: Wish, layout: Layout) -> int:
    """How many numbers a piece may have, by what the budget leaves. Raises if it is too little."""
    used_mib = meter.process_mib(os.getpid()) + _RESERVE_MIB
    numbers = int((wish.memory_budget_mib - used_mib) * _MIB) // BYTES_A_NUMBER
    least = max(each.tensor.granule * each.tensor.columns for each in layout.places)
    if numbers < least:
        needed_mib = used_mib + least * BYTES_A_NUMBER / _MIB
        raise BudgetTooSmallToConvert(
            needed_mib=int(needed_mib) + 1, budget_mib=wish.memory_budget_mib
        )
    return min(numbers, MOST_NUMBERS)
