"""The process that reads headers: `python -m deepseek_r1.catalogue.header_worker`."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter

from deepseek_r1.catalogue.header_process import LONGEST_TEXT, HeaderRead, ReadHeader, Reading
from deepseek_r1.core import frames
from deepseek_r1.core.errors import ModelFileDamaged, ModelFileUnreadable, R1Error
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.formats.container import read_container
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.formats.header import ModelHeader, Value
from deepseek_r1.native.child_start import serve, start_child


def main() -> None:
    """Serve the owner until it closes the pipe."""
    serve(start_child(ChildKind.HEADERS), TypeAdapter(ReadHeader), _read, _refused)


def _refused(request: ReadHeader, error: Exception) -> R1Error:
    if isinstance(error, frames.FrameTooLong):
        detail = tr("its table of tensors is too long")
        return ModelFileDamaged(path=request.path, detail=detail)
    detail = f"{type(error).__name__}: {error}"[:LONGEST_TEXT]
    return ModelFileUnreadable(path=request.path, detail=detail)


def _read(request: ReadHeader) -> HeaderRead:
    """Raises ModelRefused, and what the template of a loadable model raises."""
    path = Path(request.path)
    match request.reading:
        case Reading.CONTAINER:
            read_container(path)
            return HeaderRead()
        case Reading.LOADABLE:
            header = read_header(path)
            _try_out(header, request.draft_path, request.chat_template)
        case Reading.MODEL | Reading.EMBEDDING:
            header = read_header(path, embedding=request.reading is Reading.EMBEDDING)
            header = replace(header, template=None)
    return HeaderRead(header=replace(header, metadata=_short_values(header.metadata)))


def _try_out(header: ModelHeader, draft_path: str, chat_template: str) -> None:
    from deepseek_r1.engine.interface import compared_vocabularies  # noqa: PLC0415 - seldom wanted
    from deepseek_r1.engine.prompt.template import open_template  # noqa: PLC0415 - seldom wanted

    if header.legacy:
        return
    open_template(header, chat_template)
    if draft_path and not (draft := read_header(Path(draft_path))).legacy:
        compared_vocabularies(header, draft)


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


if __name__ == "__main__":
    main()
