"""The header of the published DeepSeek-R1-Distill-Qwen-7B in Q4_K_M: the first 5,953,248 bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).parents[3] / "shared" / "data" / "r1-distill-qwen-7b.header.gguf"
FILE_BYTES = 4_683_073_248  # of the whole file


def r1_header() -> Path:
    """The file that `R1_7B_HEADER` names, or the one beside the checkout; skips without one."""
    path = Path(os.environ.get("R1_7B_HEADER", "") or _BESIDE)
    if not path.is_file():
        pytest.skip("R1_7B_HEADER does not name the header of the published file")
    return path
