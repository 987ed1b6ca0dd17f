"""Memory stays flat however long a streamed model writes, and the commands that show it work."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from benchmarks.bench_python_share import python_share
from benchmarks.soak_streaming import QUESTION, Soaked, open_least, soak
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.engine.base import OpenRequest
from deepseek_r1.engine.registry import open_engine
from deepseek_r1.formats.gguf import read_header
from support.gguf_files import tiny_qwen2
from support.native_clock import native_clock

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


def test_the_slope_ignores_the_first_reading() -> None:
    grown = [(500, 40.0), (1000, 100.0), (1500, 100.5), (2000, 101.0)]
    assert Soaked(grown, 1, 0.0, 0.0).growth_kib == pytest.approx(1024.0)


@pytest.mark.skipif(shutil.which("cc") is None, reason="the clock is compiled")
@pytest.mark.parametrize("streams", [True, False])
def test_a_tokens_time_is_divided_between_python_llama_and_the_disk(
    tmp_path: Path, streams: bool
) -> None:
    path = tiny_qwen2(tmp_path / "model.gguf")
    header, settings = read_header(path), LoadSettings(context_length=512, memory_budget=4096)
    with native_clock(tmp_path) as clock:
        engine = (
            open_least(header, settings)
            if streams
            else open_engine(OpenRequest(header, settings, 1, lambda _: True))
        )
        events = engine.stream(QUESTION, SamplingSettings(temperature=0.9, max_tokens=30))
        result = python_share(
            clock, events, lambda: engine.weights_stats.io_wait_s if streams else 0.0
        )
        engine.close()
    assert result.native_ms > 0
    assert result.loop_ms > 0
    # From the disk: for the embedding's row, and because another pass begins.
    assert (0 < result.calls <= 3, result.callback_ms > 0) == (streams, streams)
    parts = result.native_ms + result.disk_wait_ms + result.callback_ms + result.loop_ms
    assert parts == pytest.approx(result.token_ms, rel=0.01)
    assert 0 < result.share < 1
