"""The process that reads headers: `python -m deepseek_r1.catalogue.header_worker`.

It reads `ReadHeader`s from standard input and answers each, locks itself before the first file is
opened, and ends with its owner.
"""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from deepseek_r1.catalogue.header_process import (
    LONGEST_TEXT,
    HeaderRead,
    HeaderRefused,
    ReadHeader,
    Reading,
)
from deepseek_r1.core import frames
from deepseek_r1.core.errors import ModelFileDamaged, ModelFileUnreadable, R1Error
from deepseek_r1.core.i18n import tr, use_language
from deepseek_r1.core.private_pipes import private_pipes
from deepseek_r1.formats.container import read_container
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.formats.header import ModelHeader, Value
from deepseek_r1.hardware.process_lock import lock_process
from deepseek_r1.native.owner_watch import end_with_owner

MEMORY_BYTES: Final = 1 << 30  # beyond the process's own


def main() -> None:
    """Serve the owner until it closes the pipe."""
    pipe_in, pipe_out = private_pipes()
    source, sink = os.fdopen(pipe_in, "rb", buffering=0), os.fdopen(pipe_out, "wb", buffering=0)
    if sys.platform != "win32":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    use_language(os.environ.get("R1DESK_LANGUAGE", "en"))
    lock_process()
    end_with_owner(pipe_in, thread_lasts=False)
    _limit_memory()
    adapter = TypeAdapter(ReadHeader)
    while (body := frames.read(source, frames.TO_CHILD_CAP)) is not None:
        frames.write(sink, _reply(frames.parse(body, adapter)))
    os._exit(0)


def _reply(request: ReadHeader) -> bytes:
    refused: R1Error
    try:
        return _frame(_read(request))
    except R1Error as error:
        refused = error
    except frames.FrameTooLong:
        detail = tr("its table of tensors is too long")
        refused = ModelFileDamaged(path=request.path, detail=detail)
    except Exception as error:  # noqa: BLE001 - reported to the owner
        detail = f"{type(error).__name__}: {error}"[:LONGEST_TEXT]
        refused = ModelFileUnreadable(path=request.path, detail=detail)
    return _frame(HeaderRefused(report=refused.report()))


def _frame(reply: HeaderRead | HeaderRefused) -> bytes:
    return frames.pack(reply, frames.FROM_CHILD_CAP)


def _read(request: ReadHeader) -> HeaderRead:
    """Raises ModelRefused, and what the template of a loadable model raises."""
    path = Path(request.path)
    match request.reading:
        case Reading.CONTAINER:
            read_container(path)
            return HeaderRead()
        case Reading.LOADABLE:
            _check_loadable(path, request.draft_path, request.chat_template)
            return HeaderRead()
        case Reading.MODEL:
            header = read_header(path)
    return HeaderRead(
        path=str(header.path),
        parts=tuple(str(part) for part in header.parts),
        header=_without_long_texts(header),
    )


def _check_loadable(path: Path, draft_path: str, chat_template: str) -> None:
    from deepseek_r1.engine.llama.speculative import vocabulary_map  # noqa: PLC0415 - seldom wanted
    from deepseek_r1.engine.template_families import open_template  # noqa: PLC0415 - likewise

    header = read_header(path)
    if not header.legacy:
        open_template(header, chat_template)
    if draft_path:
        vocabulary_map.compared_vocabularies(header, read_header(Path(draft_path)))


def _without_long_texts(header: ModelHeader) -> ModelHeader:
    """Without the paths too, which have a field of their own: JSON has no names that are bytes."""
    return replace(
        header, path=Path(), parts=(), template=None, metadata=_short_values(header.metadata)
    )


def _short_values(metadata: Mapping[str, Value]) -> dict[str, Value]:
    """The numbers and short texts; JSON has no infinity."""
    return {
        key: value
        for key, value in metadata.items()
        if all(_is_short(each) for each in (value if isinstance(value, tuple) else (value,)))
    }


def _is_short(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT
    return not isinstance(value, float) or math.isfinite(value)


def _limit_memory() -> None:
    if sys.platform != "linux":
        return
    import resource  # noqa: PLC0415 - not on Windows

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + MEMORY_BYTES
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(
        resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard)
    )


if __name__ == "__main__":
    main()
