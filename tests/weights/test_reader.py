"""Bytes of a file at any offset, read past the page cache or through it."""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import sys
from pathlib import Path

import pytest

from deepseek_r1.weights.reader import WeightFile, WeightsUnreadableError
from deepseek_r1.weights.region import PAGE, Region, page_down, page_up
from support.gguf_files import tiny_llama
from support.streaming import budgets, loaded

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for its page cache")
SIZE = 9 * 1024 * 1024 + 1234


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "weights.bin"
    made.write_bytes(random.Random(3).randbytes(SIZE))
    return made


@pytest.mark.parametrize("direct", [True, False])
def test_ranges_arrive_at_their_remainder(path: Path, direct: bool) -> None:
    told = path.read_bytes()
    file = WeightFile(path, direct=direct)
    region = Region(SIZE + PAGE, huge_pages=False)
    for offset, nbytes in [(0, 10), (32, 5000), (4095, 2), (PAGE * 7 + 96, 6 << 20), (SIZE - 5, 5)]:
        base, end = page_down(offset), page_up(offset + nbytes)
        with region.bytes[: end - base] as into:
            file.read(into, base, end)
        at = offset - base
        assert bytes(region.bytes[at : at + nbytes]) == told[offset : offset + nbytes]
    region.close()
    file.close()


def test_the_page_cache_stays_clean(path: Path) -> None:
    """Asked of the kernel: how many of the file's pages it holds after the reads."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    for direct in (True, False):
        file = WeightFile(path, direct=direct)
        region = Region(page_up(SIZE), huge_pages=False)
        file.read(region.bytes, 0, page_up(SIZE))
        region.close()
        file.close()
        assert _cached_pages(descriptor) < 40
    os.close(descriptor)


def _cached_pages(descriptor: int) -> int:
    both = mmap.PROT_READ | mmap.PROT_WRITE
    size = os.fstat(descriptor).st_size
    with mmap.mmap(descriptor, size, flags=mmap.MAP_PRIVATE, prot=both) as view:
        anchor = ctypes.c_char.from_buffer(view)
        told = (ctypes.c_ubyte * (page_up(size) // PAGE))()
        address = ctypes.c_void_p(ctypes.addressof(anchor))
        assert ctypes.CDLL(None).mincore(address, ctypes.c_size_t(size), told) == 0
        del anchor
    return sum(each & 1 for each in told)


@pytest.mark.native
def test_a_loaded_model_leaves_nothing_of_its_file_in_the_page_cache(tmp_path: Path) -> None:
    """The header is read through it, twice, and the system reads ahead behind it."""
    path = tiny_llama(tmp_path / "model.gguf")
    descriptor = os.open(path, os.O_RDWR)
    os.fsync(descriptor)
    path.read_bytes()
    assert _cached_pages(descriptor) > 0
    with loaded(path, budgets(path)[0]):
        assert _cached_pages(descriptor) == 0
    os.close(descriptor)


def test_a_cut_file_is_told_by_name(path: Path) -> None:
    file = WeightFile(path)
    os.truncate(path, SIZE // 2)
    region = Region(PAGE, huge_pages=False)
    with pytest.raises(WeightsUnreadableError, match=r"weights\.bin is shorter"):
        file.read(region.bytes, page_down(SIZE - 1), page_up(SIZE))
    region.close()
    file.close()


def test_a_missing_file_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnreadableError, match=r"gone\.gguf"):
        WeightFile(tmp_path / "gone.gguf")


def test_memory_given_back_reads_as_zeros_and_its_edges_stay() -> None:
    region = Region(4 * PAGE, huge_pages=False)
    region.bytes[:] = b"x" * (4 * PAGE)
    region.discard(100, 3 * PAGE + 100)
    assert bytes(region.bytes[PAGE : 3 * PAGE]) == b"\0" * (2 * PAGE)
    assert bytes(region.bytes[:PAGE]) == b"x" * PAGE
    assert bytes(region.bytes[3 * PAGE :]) == b"x" * PAGE
    region.close()
