from __future__ import annotations

import time

import pytest

from deepseek_r1.hardware.memory_speed import memory_read_mib_s


@pytest.mark.quiet
def test_memory_has_a_speed_that_is_found_in_a_moment():
    began = time.monotonic()
    speed = memory_read_mib_s(2, seconds=0.2)
    assert 500 < speed < 2_000_000
    assert time.monotonic() - began < 5  # a busy machine; 0.4 s by itself
