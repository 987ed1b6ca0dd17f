"""The header of the published DeepSeek-R1-Distill-Qwen-7B in Q4_K_M: the first 5,953,248 bytes.

`R1_7B_HEADER` names the file. Without it a file in `shared/data` beside the checkout is taken.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FILE_BYTES = 4_683_073_248  # of the whole file
_BESIDE = Path("shared", "data", "r1-distill-qwen-7b.header.gguf")
_CHECKOUT = Path(__file__).parents[2]


def r1_header_if_there() -> Path | None:
    path = Path(os.environ.get("R1_7B_HEADER", "") or _CHECKOUT.parent / _BESIDE)
    return path if path.is_file() else None


def r1_header() -> Path:
    """The header; skips the test where it is not there."""
    path = r1_header_if_there()
    if path is None:
        pytest.skip("R1_7B_HEADER does not name the header of the published file")
    return path
