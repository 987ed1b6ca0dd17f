"""A file in the user's profile with what was measured on this machine, by key.

These files have a folder of their own, the one folder of the profile in which the engine's process
may write.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from deepseek_r1.core import log
from deepseek_r1.core.atomic_write import write_atomically
from deepseek_r1.core.paths import profile_dir

MeasuredT = TypeVar("MeasuredT", bound=BaseModel)


def measured_dir() -> Path:
    """The folder of the files. It may not exist yet."""
    return profile_dir() / "measured"


def make_private_dir(folder: Path) -> None:
    """Make a folder, and the profile around it, for the user alone. Raises OSError."""
    for each in (folder.parent, folder):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)


class _Content(BaseModel, frozen=True):
    measured: dict[str, dict[str, Any]] = {}


def load_measured(file: Path, key: str, kind: type[MeasuredT]) -> MeasuredT | None:
    """Return the stored values; None where there are none or the file is damaged."""
    stored = _read(file).measured.get(key)
    if stored is None:
        return None
    try:
        return kind.model_validate(stored)
    except ValidationError as error:
        log.engine.warning("%s has a damaged entry, which is ignored: %s", file.name, error)
        return None


def save_measured(file: Path, key: str, values: BaseModel) -> None:
    """Store values beside the others. Raises OSError where the profile cannot be written."""
    stored = _read(file).measured | {key: values.model_dump(mode="json")}
    make_private_dir(file.parent)
    write_atomically(file, _Content(measured=stored).model_dump_json(indent=1).encode("utf-8"))


def keep_measured(file: Path, key: str, values: BaseModel) -> bool:
    """Store values as `save_measured` does. False, and a line in the log, where that fails."""
    try:
        save_measured(file, key, values)
    except OSError as error:
        log.engine.warning("%s cannot be written: %s", file.name, error)
        return False
    return True


def _read(file: Path) -> _Content:
    try:
        return _Content.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return _Content()
    except (OSError, ValidationError) as error:
        log.engine.warning("%s cannot be read and is ignored: %s", file.name, error)
        return _Content()
