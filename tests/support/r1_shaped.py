"""A file of DeepSeek-R1-Distill-Qwen-1.5B's true shapes with random weights: 1,117 MB."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from benchmarks import with_memory_limit

TOOLS = Path(__file__).parents[3] / "shared" / "tools"


def r1_shaped(folders: pytest.TempPathFactory) -> Path:
    """The file that `R1_SHAPED_1_5B` names, or one made once a run; skips where neither can be."""
    ready = os.environ.get("R1_SHAPED_1_5B", "")
    if ready:
        return Path(ready)
    if sys.platform == "win32":
        pytest.skip("the tool that makes R1-shaped files removes an open file, as Windows forbids")
    tool = TOOLS / "make_r1_shaped_gguf.py"
    if not tool.is_file():
        pytest.skip("the tool that makes R1-shaped files is not beside the checkout")
    folder = folders.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers
    path = folder / "r1-1.5b.gguf"
    with FileLock(path.with_suffix(".lock")):
        if not path.is_file():
            making = path.with_suffix(".part")
            command = [sys.executable, tool, "--size", "1.5b", making]
            subprocess.run(command, check=True, capture_output=True)
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
