"""Small real disks for tests: full ones, read-only ones. They need the right to mount."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


class Disk:
    """A file system of a few megabytes at `folder`."""

    def __init__(self, folder: Path, size_kib: int) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        _mount("-t", "tmpfs", "-o", f"size={size_kib}k", "r1desk-test", str(folder))

    def fill(self) -> None:
        """Leave no byte free."""
        self.leave(0)

    def leave(self, nbytes: int) -> None:
        """Leave about this much free."""
        ballast = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for size in (65_536, 4096, 1):
                while shutil.disk_usage(self.folder).free - size >= nbytes:
                    try:
                        os.write(ballast, bytes(size))
                    except OSError:
                        break
        finally:
            os.close(ballast)

    def free(self) -> None:
        """Make room again."""
        self._ballast.unlink()

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"

    def set_writable(self, writable: bool) -> None:
        """Let the system allow or forbid writing; also root cannot write then."""
        _mount("-o", f"remount,{'rw' if writable else 'ro'}", str(self.folder))

    def remove(self) -> None:
        """Unmount it, also while something is still open on it."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


def _mount(*arguments: str) -> None:
    if not sys.platform.startswith("linux") or shutil.which("mount") is None:
        pytest.skip("disks are mounted on Linux only")
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
