"""The progress of a download and its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class DownloadPhase(StrEnum):
    """The step that a download is in."""

    CHECKING = "checking"  # reading the bytes of an earlier attempt
    RECEIVING = "receiving"
    WAITING = "waiting"  # until the next attempt


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """The progress of one file. `total_bytes` is None until known, `detail` explains a wait."""

    file: str
    phase: DownloadPhase
    done_bytes: int
    total_bytes: int | None
    bytes_s: float = 0.0
    detail: str = ""


ProgressCallback = Callable[[DownloadProgress], object]


@dataclass(frozen=True, slots=True)
class PulledModel:
    """A model that is in the folder now. `path` is its first file."""

    path: Path
    files: tuple[Path, ...]
    sha256: tuple[str, ...]
    verified: bool  # each file was compared with a checksum known beforehand
    new: bool  # it was not there before
