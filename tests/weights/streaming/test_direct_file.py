"""Bytes of a file at any offset, read past the page cache or through it."""

import ctypes
import mmap
import os
import random
import sys
from pathlib import Path

import pytest

from deepseek_r1.hardware.storage import PAGE, SystemRegion, page_down, page_up
from deepseek_r1.weights.direct_file import WeightFile, WeightsUnreadableError
from support.gguf_files import tiny_llama
from support.page_cache import pages_in_memory
from support.streaming import budgets, loaded

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for its page cache")
SIZE = 9 * 1024 * 1024 + 1234


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "weights.bin"
    made.write_bytes(random.Random(3).randbytes(SIZE))
    return made


@pytest.mark.parametrize("direct", [True, False])
def test_ranges_are_read_to_memory_with_their_remainder(path: Path, direct: bool) -> None:
    expected = path.read_bytes()
    file = WeightFile(path, direct=direct)
    region = SystemRegion(SIZE + PAGE, huge_pages=True)  # committed at once
    for offset, nbytes in [(0, 10), (32, 5000), (4095, 2), (PAGE * 7 + 96, 6 << 20), (SIZE - 5, 5)]:
        base, end = page_down(offset), page_up(offset + nbytes)
        with region.bytes[: end - base] as into:
            file.read(into, base, end)
        at = offset - base
        assert bytes(region.bytes[at : at + nbytes]) == expected[offset : offset + nbytes]
    region.close()
    file.close()


@linux_only
def test_the_page_cache_stays_clean(path: Path) -> None:
    """Asked of the kernel: how many of the file's pages it holds after the reads."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    for direct in (True, False):
        file = WeightFile(path, direct=direct)
        region = SystemRegion(page_up(SIZE), huge_pages=False)
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
        pages = pages_in_memory(ctypes.addressof(anchor), size)
        del anchor
    return pages


@linux_only
@pytest.mark.integration
def test_a_loaded_model_leaves_nothing_of_its_file_in_the_page_cache(tmp_path: Path) -> None:
    """The header is read through it, twice, and the system reads ahead of it."""
    path = tiny_llama(tmp_path / "model.gguf")
    descriptor = os.open(path, os.O_RDWR)
    os.fsync(descriptor)
    path.read_bytes()
    assert _cached_pages(descriptor) > 0
    with loaded(path, budgets(path)[0]):
        assert _cached_pages(descriptor) == 0
    os.close(descriptor)


def test_the_error_of_a_cut_file_names_it(path: Path) -> None:
    file = WeightFile(path)
    os.truncate(path, SIZE // 2)
    region = SystemRegion(PAGE, huge_pages=True)
    with pytest.raises(WeightsUnreadableError, match=r"weights\.bin is shorter"):
        file.read(region.bytes, page_down(SIZE - 1), page_up(SIZE))
    region.close()
    file.close()


def test_the_error_of_a_missing_file_names_it(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnreadableError, match=r"gone\.gguf"):
        WeightFile(tmp_path / "gone.gguf")
