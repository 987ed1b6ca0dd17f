"""Memory stays flat however long a streamed model writes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.soak_streaming import soak
from support.gguf_files import tiny_qwen2

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="streams, and reads Linux's counters"),
]


def test_a_long_answer_from_the_disk_takes_no_more_memory(tmp_path: Path) -> None:
    path = tiny_qwen2(tmp_path / "model.gguf")
    soaked = soak(path, tokens=3000, every=300, context_length=512)
    assert soaked.read_mib > 10
    settled = [mib for _, mib in soaked.readings[3:]]
    assert max(settled) - min(settled) < 1.0
