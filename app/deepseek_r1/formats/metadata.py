"""Reads a container's keys with checks: their presence, their type and their range."""

import math

from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.container import Array, Container, Scalar
from deepseek_r1.formats.cursor import Refusals


def printable(name: str) -> str:
    """The part of a name in a file that a sentence shows."""
    return "".join(filter(str.isprintable, name[:60]))


class Metadata(Refusals):
    """The keys of one file, checked as they are asked for."""

    def __init__(self, file: Container) -> None:
        super().__init__(file.path)
        self._file = file

    def __contains__(self, key: str) -> bool:
        return key in self._file.kinds

    def scalar(self, key: str, kind: str) -> Scalar | None:
        """The value of `key`, which must be of `kind`; None where it is missing."""
        found = self._file.kinds.get(key)
        if found is None:
            return None
        if found != kind:
            raise self.damaged(tr("the key {key} has the wrong type", key=key))
        return self._file.values[key]

    def text(self, key: str) -> str | None:
        """A text; None where it is missing."""
        value = self.scalar(key, "str")
        return value if isinstance(value, str) else None

    def flag(self, key: str) -> bool | None:
        """A truth value; None where it is missing."""
        value = self.scalar(key, "bool")
        return value if isinstance(value, bool) else None

    def number(self, key: str, least: int, greatest: int, default: int | None = None) -> int:
        """A whole number in range. Missing: `default`, or refused where there is none."""
        value = self.scalar(key, "u32")
        if value is None:
            if default is None:
                raise self.damaged(tr("the key {key} is missing", key=key))
            return default
        return self._in_range(key, int(value), least, greatest)

    def largest(self, key: str, least: int, greatest: int, layers: int, default: int) -> int:
        """A number, or the largest of a list with one number for each of `layers`."""
        array = self._file.arrays.get(key)
        if array is None:
            return self.number(key, least, greatest, default)
        if array.element not in ("u32", "i32") or array.length != layers:
            raise self.damaged(tr("the key {key} has the wrong type", key=key))
        for value in array.values:
            self._in_range(key, int(value), 0, greatest)
        return self._in_range(key, max(int(value) for value in array.values), least, greatest)

    def _in_range(self, key: str, value: int, least: int, greatest: int) -> int:
        if not least <= value <= greatest:
            raise self.wrong_value(key, value)
        return value

    def real(self, key: str, least: float, greatest: float) -> float | None:
        """A finite number in range; None where it is missing."""
        value = self.scalar(key, "f32")
        if value is None:
            return None
        if not math.isfinite(float(value)) or not least <= float(value) <= greatest:
            raise self.wrong_value(key, value)
        return float(value)

    def array(self, key: str, *elements: str) -> Array | None:
        """A list whose elements are of one of `elements`; None where it is missing."""
        array = self._file.arrays.get(key)
        if array is None and key not in self._file.kinds:
            return None
        if array is None or array.element not in elements:
            raise self.damaged(tr("the key {key} has the wrong type", key=key))
        return array
