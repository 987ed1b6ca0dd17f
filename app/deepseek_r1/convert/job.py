"""Runs a conversion: reads the source's description, plans the layout, writes the output."""

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from deepseek_r1.convert.errors import BudgetTooSmallToConvert, SourceChanged, SourceMissing
from deepseek_r1.convert.file_layout import (
    BYTES_A_NUMBER,
    MOST_NUMBERS,
    FileLayout,
    Importance,
    PieceMaker,
    aligned,
    plan_layout,
    require_importance,
)
from deepseek_r1.convert.gguf_source import read_gguf
from deepseek_r1.convert.gguf_writer import ConversionJournal, OnBytes, Output, check_output, hashed
from deepseek_r1.convert.hf.folder_source import read_folder
from deepseek_r1.convert.model_source import Floats, KeyValue, ModelSource, replaced
from deepseek_r1.convert.precision import Precision
from deepseek_r1.core.i18n import tr
from deepseek_r1.engine.llama.binding.quantise import Quantiser
from deepseek_r1.formats.container import Scalar
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.memory import meter

_MIB: Final = 1 << 20
_RESERVE_MIB: Final = 32  # memory of Python and the system's buffers
_QUANTISATION_VERSION: Final = 2  # GGML_QNT_VERSION


class ConversionStage(StrEnum):
    """The stage of a conversion."""

    CHECKING = "checking"  # the source is read for its digest
    RESUMING = "resuming"  # the output of an earlier run is read again
    WRITING = "writing"


OnProgress = Callable[[ConversionStage, int, int], None]  # bytes done, and of the whole stage


@dataclass(frozen=True, slots=True)
class ConversionRequest:
    """A request for a conversion: source, output, precision and memory budget.

    `importance` is by GGUF tensor name, `importance_text` is the name of its calibration text.
    """

    source: Path
    output: Path
    precision: Precision
    memory_budget_mib: int
    force: bool = False
    threads: int = 0  # 0: one per core
    importance: Importance = field(default_factory=dict)
    importance_text: str = ""
    # Applied to the source before writing; and what else it depends on.
    change: Callable[[ModelSource], ModelSource] | None = None
    change_from: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConversionResult:
    """The result of a conversion. `kinds` counts tensors by type; `resumed_bytes` were there."""

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


def convert(
    request: ConversionRequest, on_progress: OnProgress = lambda _stage, _done, _total: None
) -> ConversionResult:
    """Write `request.output`. An interrupted run keeps its part file, and the next continues it.

    Raises `ConversionRefused` and `ModelRefused`, before anything is written where possible.
    """
    started = time.monotonic()
    quantiser = Quantiser(request.threads or os.cpu_count() or 1)
    try:
        source = read_source(request.source, quantiser)
        if request.change is not None:
            source = request.change(source)
        check_output(request.output, source.files, force=request.force)
        output = Output(request.output)
        with output.locked():
            layout, start, resumed = _write(request, source, output, quantiser, on_progress)
            output.publish()
    finally:
        quantiser.close()
    return ConversionResult(
        path=request.output,
        architecture=source.architecture,
        nbytes=layout.nbytes,
        source_bytes=sum(each.stat().st_size for each in source.files),
        sha256=output.sha256,
        source_sha256=start.source_sha256,
        tensors=len(layout.places),
        kinds=dict(Counter(each.kind.name for each in layout.places)),
        resumed_bytes=resumed,
        peak_mib=meter.peak_mib(),
        wall_s=time.monotonic() - started,
        remarks=source.remarks,
    )


def read_source(path: Path, quantiser: Quantiser) -> ModelSource:
    """Returns the model at `path`, a folder or a GGUF file."""
    if path.is_dir():
        return read_folder(path)
    if not path.exists():
        raise SourceMissing(path=str(path), detail=tr("It does not exist."))
    return read_gguf(path, quantiser)


def _write(
    request: ConversionRequest,
    source: ModelSource,
    output: Output,
    quantiser: Quantiser,
    on_progress: OnProgress,
) -> tuple[FileLayout, ConversionJournal, int]:
    """Write the part file. Returns the layout, the first journal and the resumed bytes."""
    identity = _identity(request, source)
    start = output.journal(identity)
    if start is None:
        start = ConversionJournal(identity, _digest_of(source, on_progress), nbytes=0, sha256="")
    layout = plan_layout(source, request.precision, _keys(request, source, start.source_sha256))
    require_importance(layout.places, quantiser, request.importance)
    maker = PieceMaker(quantiser, request.importance, _piece_numbers(request, layout))
    output.reserve(layout)
    _check_readable(output)
    on_reread = _counting(ConversionStage.RESUMING, start.nbytes, on_progress)
    with output.writing(layout, start, on_reread) as resumed:
        for place in layout.places:
            done = min(max(output.nbytes, place.offset), place.end) - place.offset
            for piece in maker.pieces(place, done // place.row_bytes):
                output.write(piece)
                on_progress(ConversionStage.WRITING, output.nbytes, layout.nbytes)
            if output.nbytes < aligned(place.end):
                output.write(bytes(aligned(place.end) - output.nbytes))
    if _identity(request, source) != identity:
        output.discard()
        raise SourceChanged(path=str(source.path))
    return layout, start, resumed


def _counting(stage: ConversionStage, total: int, on_progress: OnProgress) -> OnBytes:
    """Returns a function that adds to the bytes of a stage and reports them."""
    done = 0

    def on_bytes(count: int) -> None:
        nonlocal done
        done += count
        on_progress(stage, done, total)

    return on_bytes


def _check_readable(output: Output) -> None:
    try:
        read_header(output.part)
    except Exception:
        output.discard()
        raise


def _keys(request: ConversionRequest, source: ModelSource, contents: str) -> tuple[KeyValue, ...]:
    fresh: dict[str, Scalar] = {
        "general.quantization_version": _QUANTISATION_VERSION,
        "general.file_type": request.precision.file_type,
        "r1desk.source.name": source.path.resolve().name,
        "r1desk.source.sha256": contents,
        "r1desk.precision": request.precision.name.lower(),
    }
    if request.importance:  # llama.cpp's names for them
        fresh["quantize.imatrix.dataset"] = request.importance_text
        fresh["quantize.imatrix.entries_count"] = len(request.importance)
    return replaced(source.keys, fresh)


def _identity(request: ConversionRequest, source: ModelSource) -> str:
    """Returns a digest of everything that determines the output except the files' contents."""
    digest = hashlib.sha256(request.precision.name.encode())
    for each in source.files:
        found = each.stat()
        digest.update(f"\0{each.resolve()}\0{found.st_size}\0{found.st_mtime_ns}".encode())
    if request.change is not None:
        for key in source.keys:
            digest.update(key.packed())
    for arrays in (request.importance, request.change_from):
        for name in sorted(arrays):
            digest.update(b"\0" + name.encode() + arrays[name].tobytes())
    return digest.hexdigest()


def _digest_of(source: ModelSource, on_progress: OnProgress) -> str:
    """Returns the SHA-256 of a single file, else of the `sha256sum` lines of all files."""
    total = sum(each.stat().st_size for each in source.files)
    on_bytes = _counting(ConversionStage.CHECKING, total, on_progress)
    digests = [hashed(path, on_bytes).hexdigest() for path in source.files]
    if len(digests) == 1:
        return digests[0]
    lines = [f"{digest}  {path.name}\n" for digest, path in zip(digests, source.files, strict=True)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _piece_numbers(request: ConversionRequest, layout: FileLayout) -> int:
    """Returns the numbers per piece that the budget allows. Raises BudgetTooSmallToConvert."""
    used_mib = meter.process_mib(os.getpid()) + _RESERVE_MIB
    numbers = int((request.memory_budget_mib - used_mib) * _MIB) // BYTES_A_NUMBER
    least = max(each.tensor.granule * each.tensor.columns for each in layout.places)
    if numbers < least:
        needed_mib = used_mib + least * BYTES_A_NUMBER / _MIB
        raise BudgetTooSmallToConvert(
            needed_mib=int(needed_mib) + 1, budget_mib=request.memory_budget_mib
        )
    return min(numbers, MOST_NUMBERS)
