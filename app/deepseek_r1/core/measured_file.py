"""Values that were measured on this machine, kept in the user's profile.

Each kind has a file of its own in one folder, the one folder of the profile in which the engine's
process may write: the window keeps other kinds at the same time, and a lost one of the kernels'
times would change answers.
"""

from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from deepseek_r1.core import log
from deepseek_r1.core.atomic_write import write_atomically
from deepseek_r1.core.paths import make_private_dir, profile_dir

MeasuredT = TypeVar("MeasuredT", bound=BaseModel)


def measured_dir() -> Path:
    """The folder of the files. It may not exist yet."""
    return profile_dir() / "measured"


class _Content(BaseModel, frozen=True):
    measured: dict[str, dict[str, Any]] = {}


class Measurements(Generic[MeasuredT]):
    """The values of one kind, by what they depend on."""

    def __init__(self, name: str, kind: type[MeasuredT]) -> None:
        self._name, self._kind = name, kind

    @property
    def file(self) -> Path:
        """Where they are kept. It may not exist yet."""
        return measured_dir() / f"{self._name}.json"

    def get(self, key: str) -> MeasuredT | None:
        """Return the stored value; None where there is none or the file is damaged."""
        stored = self._read().measured.get(key)
        if stored is None:
            return None
        try:
            return self._kind.model_validate(stored)
        except ValidationError as error:
            log.engine.warning("%s has a damaged entry, which is ignored: %s", self._name, error)
            return None

    def save(self, key: str, value: MeasuredT) -> None:
        """Store a value beside the others. Raises OSError where the profile cannot be written."""
        stored = self._read().measured | {key: value.model_dump(mode="json")}
        make_private_dir(measured_dir())
        text = _Content(measured=stored).model_dump_json(indent=1)
        write_atomically(self.file, text.encode("utf-8"))

    def keep(self, key: str, value: MeasuredT) -> bool:
        """Store a value as `save` does. False, and a line in the log, where that fails."""
        try:
            self.save(key, value)
        except OSError as error:
            log.engine.warning("%s cannot be written: %s", self._name, error)
            return False
        return True

    def _read(self) -> _Content:
        try:
            return _Content.model_validate_json(self.file.read_bytes())
        except FileNotFoundError:
            return _Content()
        except (OSError, ValidationError) as error:
            log.engine.warning("%s cannot be read and is ignored: %s", self._name, error)
            return _Content()
