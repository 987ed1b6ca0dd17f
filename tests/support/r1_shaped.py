"""Files of R1-Distill-Qwen's true shapes, vocabulary and template, with random weights."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from benchmarks import with_memory_limit

TOOL = Path(__file__).parents[3] / "shared" / "tools" / "make_r1_shaped_gguf.py"


def make_r1_shaped(size: str, path: Path) -> None:
    """Make a file of a size that the tool knows, "tiny" or "1.5b"; skips where it cannot run."""
    if sys.platform == "win32":
        pytest.skip("the tool that makes R1-shaped files removes an open file, as Windows forbids")
    if not TOOL.is_file():
        pytest.skip("the tool that makes R1-shaped files is not beside the checkout")
    subprocess.run([sys.executable, TOOL, "--size", size, path], check=True, capture_output=True)


def r1_shaped(folders: pytest.TempPathFactory) -> Path:
    """The 1,117 MB of the 1.5B: the file that `R1_SHAPED_1_5B` names, or one made once a run."""
    ready = os.environ.get("R1_SHAPED_1_5B", "")
    if ready:
        return Path(ready)
    folder = folders.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers
    path = folder / "r1-1.5b.gguf"
    with FileLock(path.with_suffix(".lock")):
        if not path.is_file():
            making = path.with_suffix(".part")
            make_r1_shaped("1.5b", making)
            making.rename(path)
    return path


def memory_limit(limit_mb: int) -> list[str]:
    """The beginning of a command under a real memory limit; skips where none can be set."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("memory limits need root")
    command = [sys.executable, with_memory_limit.__file__]
    tried = subprocess.run([*command, "100", "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"memory limits cannot be set here: {tried.stderr.strip()[-200:]}")
    return [*command, str(limit_mb)]
