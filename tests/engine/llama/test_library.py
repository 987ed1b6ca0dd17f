"""llama.cpp's library: a light import, and a log that is read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deepseek_r1.engine.llama.binding.library import LibraryLog

pytestmark = pytest.mark.integration


def test_importing_the_engine_stays_light() -> None:
    """The binding's package would bring its high-level class, numpy and more."""
    code = (
        "import sys; from deepseek_r1.engine.llama.binding.library import library; library(); "
        "print([name for name in ('numpy', 'llama_cpp.llama', 'diskcache') if name in sys.modules])"
    )
    app = Path(__file__).parents[3] / "app"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=app, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""  # and llama.cpp prints nothing


class TestLog:
    def test_sizes_of_buffers_are_added_up(self) -> None:
        log = LibraryLog()
        log.add(2, b"load_tensors:          CPU model buffer size =   463.35 MiB\n")
        log.add(2, b"load_tensors:   CPU_REPACK model buffer size =   596.53 MiB\n")
        log.add(2, b"llama_kv_cache:        CPU KV buffer size =   112.00 MiB\n")
        assert log.buffers_mib() == {"weights": pytest.approx(1059.88), "kv_cache": 112.0}

    def test_a_line_may_come_in_pieces(self) -> None:
        log = LibraryLog()
        log.add(4, b"error: ")
        log.add(5, "größer\n".encode())
        assert log.last_error() == "error: größer"

    def test_chatter_pushes_nothing_out(self) -> None:
        log = LibraryLog()
        log.add(4, b"it broke\n")
        for _ in range(5000):
            log.add(1, b"create_tensor: ")
            log.add(5, b"done\n")
        assert log.last_error() == "it broke"
