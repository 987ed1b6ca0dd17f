"""SHA-256 of model files: computed, and remembered beside them.

A checksum is remembered as `sha256sum` writes it, in `.checksums/NAME.sha256` below the models'
folder, so that `sha256sum -c` can check it as well.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable
from pathlib import Path

from deepseek_r1.catalogue.errors import DownloadStopped
from deepseek_r1.core.files import write_safely

BLOCK_BYTES = 1 << 20
_LINE = re.compile(r"([0-9a-f]{64}) [ *]([^\n]+)\n?")


class Stop:
    """Ends work in another thread, at once also where it waits for the network."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wake: Callable[[], object] | None = None
        self.asked = False

    def request(self) -> None:
        """Stop now. Any thread."""
        with self._lock:
            self.asked = True
            if self._wake is not None:
                self._wake()

    def wakes(self, wake: Callable[[], object] | None) -> None:
        """What interrupts the waiting, while there is any. Called at once if asked before."""
        with self._lock:
            self._wake = wake
            if self.asked and wake is not None:
                wake()

    def check(self, file: str) -> None:
        """Raise DownloadStopped if it was asked for."""
        if self.asked:
            raise DownloadStopped(file=file)


def file_sha256(
    path: Path,
    *,
    tell: Callable[[int], object] = lambda _done: None,
    stop: Stop | None = None,
) -> str:
    """The file's SHA-256; `tell` hears the bytes read so far. Raises OSError, DownloadStopped."""
    digest = hashlib.sha256()
    done = 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            done += len(block)
            tell(done)
            if stop is not None:
                stop.check(path.name)
    return digest.hexdigest()


def remember(path: Path, sha256: str) -> None:
    """Keep the checksum of a file of the models' folder. Raises OSError."""
    place = _place(path)
    place.parent.mkdir(exist_ok=True)
    write_safely(place, f"{sha256}  {path.name}\n".encode())


def remembered(path: Path) -> str | None:
    """The checksum kept for a file, None where there is none or it is not legible."""
    try:
        found = _LINE.fullmatch(_place(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return found[1] if found and found[2] == path.name else None


def forget(path: Path) -> None:
    """The file goes: its checksum goes with it. Raises OSError."""
    _place(path).unlink(missing_ok=True)


def _place(path: Path) -> Path:
    return path.parent / ".checksums" / f"{path.name}.sha256"
