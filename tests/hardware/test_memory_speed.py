from __future__ import annotations

import time

import pytest

from deepseek_r1.hardware import linux, memory_speed
from deepseek_r1.hardware.memory_speed import buffer_bytes, memory_read_mib_s


@pytest.mark.slow
@pytest.mark.quiet
def test_memory_has_a_speed_that_is_found_in_a_moment():
    began = time.monotonic()
    speed = memory_read_mib_s(2, seconds=0.2)
    assert 500 < speed < 2_000_000
    assert time.monotonic() - began < 5  # a busy machine; 0.4 s by itself


@pytest.mark.parametrize(
    ("cache_mib", "buffer_mib"), [(0, 128), (2, 32), (8, 32), (24, 48), (64, 128), (300, 128)]
)
def test_twice_the_largest_cache_is_read(monkeypatch, cache_mib, buffer_mib):
    monkeypatch.setattr(memory_speed.sys, "platform", "linux")
    monkeypatch.setattr(linux, "largest_cache_bytes", lambda: cache_mib << 20)
    assert buffer_bytes() == buffer_mib << 20
