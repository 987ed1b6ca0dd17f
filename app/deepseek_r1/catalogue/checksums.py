"""Computes the SHA-256 of model files and keeps it beside them.

A checksum is kept in the format of `sha256sum`, in `.checksums/NAME.sha256` below the models'
folder, so that `sha256sum -c` can check it as well.
"""

import hashlib
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from deepseek_r1.catalogue.download_spec import DownloadPhase, DownloadProgress, ProgressCallback
from deepseek_r1.catalogue.errors import DownloadStopped
from deepseek_r1.core.atomic_write import write_atomically

BLOCK_BYTES = 1 << 20
_LINE = re.compile(r"([0-9a-f]{64}) [ *]([^\n]+)\n?")


class Stop:
    """Stops work in another thread, also while that thread waits for the network."""

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

    def set_wake(self, wake: Callable[[], object] | None) -> None:
        """Set the function that interrupts a wait. It is called at once if already stopped."""
        with self._lock:
            self._wake = wake
            if self.asked and wake is not None:
                wake()

    def check(self, file: str) -> None:
        """Raise DownloadStopped if a stop was requested."""
        if self.asked:
            raise DownloadStopped(file=file)


def file_sha256(
    path: Path,
    stop: Stop,
    on_progress: ProgressCallback = lambda _progress: None,
    file: str = "",
    copy: BinaryIO | None = None,
) -> str:
    """Returns the SHA-256. Messages call the file `file`; `copy` gets its bytes.

    Raises OSError, DownloadStopped.
    """
    digest, done, size = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb", buffering=0) as source:
        while block := source.read(BLOCK_BYTES):
            digest.update(block)
            if copy is not None:
                copy.write(block)
            done += len(block)
            on_progress(DownloadProgress(file or path.name, DownloadPhase.CHECKING, done, size))
            stop.check(path.name)
    return digest.hexdigest()


def remember(path: Path, sha256: str) -> None:
    """Keep the checksum of a file of the models' folder. Raises OSError."""
    place = _place(path)
    place.parent.mkdir(exist_ok=True)
    write_atomically(place, f"{sha256}  {path.name}\n".encode())


def remembered(path: Path) -> str | None:
    """Returns the checksum kept for a file, None where there is none or it cannot be read."""
    try:
        found = _LINE.fullmatch(_place(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return found[1] if found and found[2] == path.name else None


def forget(path: Path) -> None:
    """Delete the checksum kept for a file. Raises OSError."""
    _place(path).unlink(missing_ok=True)


def _place(path: Path) -> Path:
    return path.parent / ".checksums" / f"{path.name}.sha256"
