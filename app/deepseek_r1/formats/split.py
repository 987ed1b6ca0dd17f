"""Reads models in several files: `name-00001-of-00003.gguf`, as llama.cpp's tool writes them."""

import re
from pathlib import Path

from deepseek_r1.core.errors import ModelRefused, SplitPartMissing
from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.container import Container, read_container
from deepseek_r1.formats.metadata import Metadata

MAX_PARTS = 999
_NAME = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL)


def read_parts(path: Path) -> list[Container]:
    """The headers of all files of the model that `path` belongs to, in the order of the parts."""
    chosen = read_container(path)
    count = Metadata(chosen).scalar("split.count", "u16") or 1
    if count == 1:
        return [chosen]
    name = _NAME.fullmatch(path.name)
    if name is None or int(name["count"]) != count or count > MAX_PARTS:
        detail = tr("The file says it is one of {count}, but its name says otherwise.", count=count)
        raise SplitPartMissing(count=int(count), missing=path.name, detail=detail)
    parts = []
    for number in range(int(count)):
        part = path.with_name(f"{name['stem']}-{number + 1:05d}-of-{int(count):05d}.gguf")
        parts.append(_read_part(part, number, int(count), path))
    return parts


def _read_part(part: Path, number: int, count: int, chosen: Path) -> Container:
    def unusable(detail: str) -> SplitPartMissing:
        return SplitPartMissing(count=count, missing=part.name, detail=detail)

    # A link in the model's folder must not make us read a file elsewhere.
    if part.is_symlink() and part.resolve().parent != chosen.resolve().parent:
        raise unusable(tr("It is a link to a file in another folder."))
    try:
        file = read_container(part)
    except ModelRefused as error:
        raise unusable(str(error)) from error
    keys = Metadata(file)
    if keys.scalar("split.count", "u16") != count or keys.scalar("split.no", "u16") != number:
        raise unusable(tr("It belongs to another model, or is out of order."))
    if file.needed_bytes > file.file_bytes:
        raise unusable(
            tr(
                "It should have {expected} bytes and has {actual}.",
                expected=file.needed_bytes,
                actual=file.file_bytes,
            )
        )
    return file
