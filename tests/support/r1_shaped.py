"""A file of DeepSeek-R1-Distill-Qwen-1.5B's true shapes with random weights: 1,117 MB."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[3] / "shared" / "tools"


def r1_shaped(folder: Path) -> Path:
    """The file that `R1_SHAPED_1_5B` names, or one made now; skips where neither is to be had."""
    ready = os.environ.get("R1_SHAPED_1_5B", "")
    if ready:
        return Path(ready)
    tool = TOOLS / "make_r1_shaped_gguf.py"
    if not tool.is_file():
        pytest.skip("the tool that makes R1-shaped files is not beside the checkout")
    path = folder / "r1-1.5b.gguf"
    subprocess.run([sys.executable, tool, "--size", "1.5b", path], check=True, capture_output=True)
    return path
