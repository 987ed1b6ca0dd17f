"""Models for the engine's tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[3] / "shared" / "tools" / "make_r1_shaped_gguf.py"


@pytest.fixture(scope="session")
def r1_shaped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small file with R1-Distill-Qwen's real vocabulary and template, and random weights."""
    if sys.platform == "win32":
        pytest.skip("the tool that makes R1-shaped files removes an open file, as Windows forbids")
    if not TOOL.is_file():
        pytest.skip("the tool that makes R1-shaped files is not beside the checkout")
    path = tmp_path_factory.mktemp("r1") / "r1-tiny.gguf"
    subprocess.run([sys.executable, TOOL, "--size", "tiny", path], check=True, capture_output=True)
    return path
