"""What is told of models on their way here: how far a file is, and what has arrived."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Phase(StrEnum):
    """What is being done to a file."""

    CHECKING = "checking"  # reading what is there already
    RECEIVING = "receiving"
    WAITING = "waiting"  # before another attempt


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a file is. `total_bytes` is None until known; `detail` says why it waits."""

    file: str
    phase: Phase
    done_bytes: int
    total_bytes: int | None
    bytes_s: float = 0.0
    detail: str = ""


Tell = Callable[[Progress], object]


@dataclass(frozen=True, slots=True)
class Pulled:
    """A model that is here now. `path` is its first file; `new` if it was not here before."""

    path: Path
    files: tuple[Path, ...]
    sha256: tuple[str, ...]
    verified: bool  # each file against a checksum known beforehand
    new: bool
