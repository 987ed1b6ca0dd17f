"""Reads typed values from a model's config.json and checks their presence, type and range."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

from deepseek_r1.convert.errors import FeatureUnknown, SourceDamaged
from deepseek_r1.convert.hf.strict_json import Json
from deepseek_r1.core.i18n import tr

MAX_SIZE: Final = 1 << 30


class Config:
    """The values of one config.json, checked on access."""

    def __init__(self, values: Json, path: Path) -> None:
        self._values, self.path = values, path

    def damaged(self, detail: str) -> SourceDamaged:
        """Returns the error for an invalid value."""
        return SourceDamaged(path=str(self.path), detail=detail)

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def number(self, key: str, default: int | None = None, *, least: int = 1) -> int:
        """Returns an integer from `least`. Missing or null: `default`, an error without one."""
        value = self._values.get(key)
        if value is None:
            if default is None:
                raise self.damaged(tr("the key {key} is missing", key=key))
            return default
        if type(value) is not int or not least <= value <= MAX_SIZE:
            raise self._wrong(key, value)
        return value

    def real(self, key: str, default: float | None = None) -> float:
        """Returns a finite number. Missing or null: `default`, an error without one."""
        value = self._values.get(key)
        if value is None:
            if default is None:
                raise self.damaged(tr("the key {key} is missing", key=key))
            return default
        if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > 1e30:
            raise self._wrong(key, value)
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """Returns a boolean."""
        value = self._values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self._wrong(key, value)
        return value

    def text(self, key: str, default: str = "") -> str:
        """Returns a short string."""
        value = self._values.get(key)
        if value is None:
            return default
        if not isinstance(value, str) or len(value) > 1000:
            raise self._wrong(key, value)
        return value

    def part(self, key: str) -> Config:
        """Returns a nested object, an empty one if it is missing or null."""
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
            shown = str(value)[:60]
            raise FeatureUnknown(
                detail=tr("The engine cannot compute {key} = {value}.", key=key, value=shown)
            )

    def _wrong(self, key: str, value: object) -> SourceDamaged:
        shown = str(value)[:60]
        return self.damaged(tr("the key {key} has the value {value}", key=key, value=shown))
