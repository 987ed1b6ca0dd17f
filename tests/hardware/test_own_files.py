"""What the system read of a mapped file and nobody looks at leaves the page cache."""

import ctypes
import mmap
import os
import sys
from pathlib import Path

import pytest

from deepseek_r1.hardware.linux import drop_own_page_cache
from support.page_cache import pages_in_memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for its page cache")

PAGES = 8192


def in_cache(mapping: mmap.mmap) -> int:
    """How many of the mapping's pages are in memory, whoever read them."""
    first = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
    return pages_in_memory(first, len(mapping))


def test_pages_that_nobody_looks_at_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "library with spaces.so"
    path.write_bytes(b"x" * PAGES * mmap.PAGESIZE)
    with path.open("rb+") as file:
        file.flush()
        mapping = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE)
    mapping.madvise(mmap.MADV_RANDOM)
    with path.open("rb") as file:
        os.fsync(file.fileno())  # only what is on the disk can be dropped
        file.read()
    assert in_cache(mapping) == PAGES
    assert mapping[0] == ord("x")
    drop_own_page_cache()
    if in_cache(mapping) == PAGES:
        pytest.skip("this file system keeps its pages in memory")
    assert 1 <= in_cache(mapping) <= 1024  # the one, and those that the kernel keeps with it
    assert mapping[100 * mmap.PAGESIZE] == ord("x")
    mapping.close()
