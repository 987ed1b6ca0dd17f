"""Reads untrusted JSON: limited size and depth, one object, finite numbers.

Of config.json each value is checked as it is asked for: its presence, type and range.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final, NoReturn

from deepseek_r1.convert.errors import FeatureUnknown, SourceDamaged
from deepseek_r1.core.errors import ModelFileUnreadable
from deepseek_r1.core.i18n import tr

MAX_CONFIG_BYTES: Final = 1 << 20
MAX_INDEX_BYTES: Final = 64 << 20  # one line per tensor; DeepSeek-V3 has 91,991 of them in 9 MB
MAX_TOKENIZER_BYTES: Final = 64 << 20  # real ones reach 20 MiB
_MAX_DEPTH: Final = 64

Json = dict[str, Any]


def read_json(path: Path, most_bytes: int = MAX_CONFIG_BYTES) -> Json:
    """Returns the object in the file at `path`. Raises SourceDamaged or ModelFileUnreadable."""
    return parse_object(read_capped(path, most_bytes), path)


def read_capped(path: Path, most_bytes: int) -> bytes:
    """Returns the file's bytes, at most `most_bytes`. Raises SourceDamaged, ModelFileUnreadable."""
    try:
        with path.open("rb") as file:
            raw = file.read(most_bytes + 1)
    except OSError as error:
        raise ModelFileUnreadable(path=str(path), detail=error.strerror or str(error)) from error
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


MAX_SIZE: Final = 1 << 30


class Config:
    """The values of one config.json, checked on access."""

    def __init__(self, values: Json, path: Path) -> None:
        self._values, self.path = values, path

    def damaged(self, detail: str) -> SourceDamaged:
        return SourceDamaged(path=str(self.path), detail=detail)

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def number(self, key: str, default: int | None = None) -> int:
        """Returns an integer from 1, or from 0 where that is the `default`.

        Missing or null: `default`, an error without one.
        """
        value, least = self._given(key, default), 0 if default == 0 else 1
        if type(value) is not int or not least <= value <= MAX_SIZE:
            raise self._wrong(key, value)
        return value

    def real(self, key: str, default: float | None = None) -> float:
        """Returns a finite number. Missing or null: `default`, an error without one."""
        value = self._given(key, default)
        if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > 1e30:
            raise self._wrong(key, value)
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self._given(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, value)
        return value

    def text(self, key: str) -> str:
        value = self._given(key, "")
        if not isinstance(value, str) or len(value) > 1000:
            raise self._wrong(key, value)
        return value

    def _given(self, key: str, default: Any) -> Any:
        """Returns the value of `key`; missing or null: `default`, an error without one."""
        value = self._values.get(key)
        if value is None and default is None:
            raise self.damaged(tr("the key {key} is missing", key=key))
        return default if value is None else value

    def part(self, key: str) -> Config:
        value = self._values.get(key)
        if value is not None and not isinstance(value, dict):
            raise self._wrong(key, value)
        return Config(value or {}, self.path)

    def first_text(self, key: str) -> str:
        """Returns the first entry of a list of strings, or an empty string."""
        value = self._values.get(key)
        if isinstance(value, list) and value and isinstance(value[0], str):
            return value[0]
        return ""

    def require(self, key: str, *accepted: object) -> None:
        """Refuse the model if `key` is present with a value outside `accepted`."""
        value = self._values.get(key)
        if value is not None and value not in accepted:
            raise self.unknown(key, value)

    def unknown(self, key: str, value: object) -> FeatureUnknown:
        shown = str(value)[:60]
        detail = tr("The engine cannot compute {key} = {value}.", key=key, value=shown)
        return FeatureUnknown(detail=detail)

    def _wrong(self, key: str, value: object) -> SourceDamaged:
        shown = str(value)[:60]
        return self.damaged(tr("the key {key} has the value {value}", key=key, value=shown))
