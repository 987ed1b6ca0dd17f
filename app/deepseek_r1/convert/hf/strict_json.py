"""Parses untrusted JSON: limited size and depth, one object, finite numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, NoReturn

from deepseek_r1.convert.errors import SourceDamaged, SourceUnreadable
from deepseek_r1.core.i18n import tr

MAX_CONFIG_BYTES: Final = 1 << 20
MAX_INDEX_BYTES: Final = 64 << 20  # one line per tensor; DeepSeek-V3 has 91,991 of them in 9 MB
MAX_TOKENIZER_BYTES: Final = 64 << 20  # real ones reach 20 MiB
_MAX_DEPTH: Final = 64

Json = dict[str, Any]


def read_json(path: Path, most_bytes: int = MAX_CONFIG_BYTES) -> Json:
    """Returns the object in the file at `path`. Raises SourceDamaged or SourceUnreadable."""
    return parse_object(read_capped(path, most_bytes), path)


def read_capped(path: Path, most_bytes: int) -> bytes:
    """Returns the file's bytes, at most `most_bytes`. Raises SourceDamaged, SourceUnreadable."""
    try:
        with path.open("rb") as file:
            raw = file.read(most_bytes + 1)
    except OSError as error:
        raise SourceUnreadable(path=str(path), detail=error.strerror or str(error)) from error
    if len(raw) > most_bytes:
        detail = tr("it is longer than {mib} MiB", mib=most_bytes >> 20)
        raise SourceDamaged(path=str(path), detail=detail)
    return raw


def parse_object(raw: bytes | bytearray, path: Path) -> Json:
    """Returns the JSON object in `raw`, which was read from `path`."""
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or nested too deeply
        raise SourceDamaged(path=str(path), detail=tr("it is not valid JSON")) from error
    if not isinstance(value, dict):
        raise SourceDamaged(path=str(path), detail=tr("it is not a JSON object"))
    _check_depth(value, path)
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check_depth(value: Json, path: Path) -> None:
    level: list[Any] = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return
    raise SourceDamaged(path=str(path), detail=tr("it is nested too deeply"))
