"""Memory for weights: whole pages can be released."""

from __future__ import annotations

import sys

import pytest

from deepseek_r1.weights.memory_region import PAGE, Region

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="there bytes may stay")


def test_discarded_memory_reads_as_zeros_and_its_edges_stay() -> None:
    region = Region(4 * PAGE, huge_pages=False)
    region.commit(0, 4 * PAGE)
    region.bytes[:] = b"x" * (4 * PAGE)
    region.discard(100, 3 * PAGE + 100)
    region.commit(PAGE, 3 * PAGE)
    assert bytes(region.bytes[PAGE : 3 * PAGE]) == b"\0" * (2 * PAGE)
    assert bytes(region.bytes[:PAGE]) == b"x" * PAGE
    assert bytes(region.bytes[3 * PAGE :]) == b"x" * PAGE
    region.close()
