"""Files and memory of three systems. Those that are not here answer through stand-ins of their
system calls, which keep the rules that the real ones have. Windows itself is asked on Windows."""

import ctypes
import errno
import mmap
import os
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deepseek_r1.hardware.storage import SystemRegion, posix_storage, windows_storage
from deepseek_r1.hardware.storage.posix_storage import PAGE, page_down, page_up
from support import windows_memory

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the stand-ins are Linux's calls")
windows_form = pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no stand-in for it")
SIZE = 9 * PAGE + 1234


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "wöights.bin"
    made.write_bytes(random.Random(5).randbytes(SIZE))
    return made


class FakeKernel32:
    """Windows' rules over Linux's calls: what is not aligned is refused, as is what is not
    committed; asynchronous reads end when their result is asked for."""

    def __init__(self) -> None:
        self.error = 0
        self.open: dict[int, tuple[int, int]] = {}  # handle: descriptor and flags
        self.events: set[int] = set()
        self.numbers = iter(range(5000, 9000))
        self.pending: dict[int, int] = {}  # event: bytes, or an error below zero
        self.maps: dict[int, mmap.mmap] = {}
        self.committed: set[int] = set()
        self.anchors: list[Any] = []
        for name in windows_storage._FUNCTIONS:
            setattr(self, name, getattr(self, f"_{name}").__get__(self))
        self.library = type("Library", (), {})()
        for name in windows_storage._FUNCTIONS:
            setattr(self.library, name, _call(getattr(self, name)))

    def open_handles(self) -> int:
        return len(self.open) + len(self.events)

    def committed_pages(self, region: Any) -> int:
        return len(
            self.committed.intersection(range(region.address, region.address + region.nbytes))
        )

    def failed(self, code: int, answer: int = 0) -> int:
        self.error = code
        return answer

    def _CreateFileW(self, name, access, share, security, how, flags, template) -> int | None:
        assert (access, how, security, template) == (0x80000000, 3, None, None)
        assert share & 1, "others may read it meanwhile"
        if not Path(name).exists():
            return self.failed(2, windows_storage._INVALID_HANDLE or -1)
        handle = 1000 + len(self.open)
        self.open[handle] = (os.open(name, os.O_RDONLY), flags)
        return handle

    def _GetFileSizeEx(self, handle, size) -> int:
        size._obj.value = os.fstat(self.open[handle][0]).st_size
        return 1

    def _CreateEventW(self, _security, manual, signalled, _name) -> int:
        assert manual
        assert not signalled
        self.events.add(event := next(self.numbers))
        return event

    def _ReadFile(self, handle, address, nbytes, count, where) -> int:
        descriptor, flags = self.open[handle]
        assert flags & 0x40000000
        assert count is None
        at = where._obj.offset_low | where._obj.offset_high << 32
        if flags & 0x20000000 and (at % 4096 or nbytes % 4096 or address % 4096):
            return self.failed(87)
        data = os.pread(descriptor, nbytes, at)
        if not data:
            return self.failed(38)
        ctypes.memmove(address, data, len(data))
        assert where._obj.event in self.events
        assert where._obj.event not in self.pending
        self.pending[where._obj.event] = len(data)
        return self.failed(997)

    def _GetOverlappedResult(self, _handle, where, count, wait) -> int:
        assert wait
        count._obj.value = self.pending.pop(where._obj.event)
        return 1

    def _CloseHandle(self, handle) -> int:
        if handle in self.events:
            self.events.remove(handle)
        else:
            os.close(self.open.pop(handle)[0])
        return 1

    def _VirtualAlloc(self, address, nbytes, kind, protection) -> int:
        assert protection == 4
        assert nbytes % PAGE == 0
        if address is None:
            assert kind & 0x2000
            made = mmap.mmap(-1, nbytes)
            anchor = ctypes.c_char.from_buffer(made)
            self.anchors.append(anchor)
            address = ctypes.addressof(anchor)
            self.maps[address] = made
        if kind & 0x1000:
            self.committed.update(range(address, address + nbytes, PAGE))
        return address

    def _VirtualFree(self, address, nbytes, kind) -> int:
        if kind == 0x8000:
            assert nbytes == 0
            whole = self.maps.pop(address)
            self.committed.difference_update(range(address, address + len(whole), PAGE))
            return 1
        assert kind == 0x4000
        ctypes.memset(address, 0, nbytes)
        self.committed.difference_update(range(address, address + nbytes, PAGE))
        return 1


def _call(method: Any) -> Any:
    """A function that takes `restype` and `argtypes`, as those of a library do."""

    def function(*given: Any) -> Any:
        assert len(given) == len(function.argtypes)
        return method(*given)

    return function


class ActualKernel32:
    """Counts what the tests are about on Windows itself."""

    def __init__(self) -> None:
        self.before = windows_memory.handles()

    def open_handles(self) -> int:
        return windows_memory.handles() - self.before

    def committed_pages(self, region: Any) -> int:
        return windows_memory.committed_pages(region.address, region.nbytes)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> FakeKernel32 | ActualKernel32:
    if sys.platform == "win32":
        return ActualKernel32()
    fake = FakeKernel32()
    ours = windows_storage.Kernel32(fake.library, lambda: fake.error)
    monkeypatch.setattr(windows_storage, "kernel32", lambda: ours)
    return fake


@windows_form
@pytest.mark.parametrize("direct", [True, False])
def test_windows_reads_whole_pages_at_any_offset(path: Path, kernel, direct: bool) -> None:
    expected = path.read_bytes()
    file = windows_storage.WindowsFile(path, direct=direct)
    region = windows_storage.WindowsRegion(page_up(SIZE), huge_pages=True)
    assert file.nbytes == SIZE
    assert file.read_into(region.bytes[: 2 * PAGE], 3 * PAGE) == 2 * PAGE
    assert bytes(region.bytes[: 2 * PAGE]) == expected[3 * PAGE : 5 * PAGE]
    assert file.read_into(region.bytes[:PAGE], page_down(SIZE)) == SIZE % PAGE
    assert file.read_into(region.bytes[:PAGE], page_up(SIZE)) == 0
    file.close()
    assert kernel.open_handles() == 0


@windows_form
@pytest.mark.skipif(
    sys.platform == "win32" and not windows_memory.under_wine(),
    reason="NTFS would write five gigabytes of zeros",
)
def test_windows_splits_offsets_beyond_4_gib(tmp_path: Path, kernel) -> None:
    path = tmp_path / "large.bin"
    with path.open("wb") as sparse:
        sparse.seek(5 << 30)
        sparse.write(b"x" * PAGE)
    file = windows_storage.WindowsFile(path, direct=True)
    region = windows_storage.WindowsRegion(PAGE, huge_pages=True)
    assert file.read_into(region.bytes, 5 << 30) == PAGE
    assert bytes(region.bytes) == b"x" * PAGE
    file.close()


@windows_form
def test_windows_threads_read_one_file_at_the_same_time(path: Path, kernel) -> None:
    expected = path.read_bytes()
    file = windows_storage.WindowsFile(path, direct=True)

    def read(page: int) -> bool:
        region = windows_storage.WindowsRegion(PAGE, huge_pages=True)
        file.read_into(region.bytes, page * PAGE)
        return bytes(region.bytes) == expected[page * PAGE : (page + 1) * PAGE]

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, [n % 9 for n in range(60)]))
    file.close()


@windows_form
def test_windows_errors_are_distinguished(path: Path, kernel) -> None:
    with pytest.raises(OSError, match="Windows error 2") as gone:
        windows_storage.WindowsFile(path.with_name("nothing"), direct=False)
    assert gone.value.errno == errno.ENOENT


@windows_form
@pytest.mark.skipif(windows_memory.under_wine(), reason="Wine reads at any offset")
def test_windows_refuses_direct_reads_of_less_than_pages(path: Path, kernel) -> None:
    file = windows_storage.WindowsFile(path, direct=True)
    region = windows_storage.WindowsRegion(PAGE, huge_pages=True)
    with pytest.raises(OSError, match="Windows error 87") as unaligned:
        file.read_into(region.bytes, 100)
    assert unaligned.value.errno == errno.EINVAL
    file.close()


@windows_form
def test_windows_memory_is_committed_where_it_is_used_and_given_back(kernel) -> None:
    region = windows_storage.WindowsRegion(6 * PAGE, huge_pages=False)
    assert kernel.committed_pages(region) == 0, "a reservation costs nothing"
    region.commit(PAGE + 5, 3 * PAGE + 5)
    assert kernel.committed_pages(region) == 3
    region.bytes[PAGE : 4 * PAGE] = b"x" * (3 * PAGE)
    region.discard(PAGE + 5, 3 * PAGE + 5)  # one whole page lies inside
    assert kernel.committed_pages(region) == 2
    assert bytes(region.bytes[PAGE : 2 * PAGE]) == b"x" * PAGE
    region.commit(2 * PAGE, 3 * PAGE)
    assert bytes(region.bytes[2 * PAGE : 3 * PAGE]) == bytes(PAGE)
    before = region.address, region.nbytes
    region.close()
    gone = SimpleNamespace(address=before[0], nbytes=before[1])
    assert kernel.committed_pages(gone) == 0


@linux_only
def test_linux_asks_for_huge_pages_inside_a_range_only() -> None:
    """A huge page over the range's end would take memory that belongs to nobody."""

    class Watched(posix_storage.LinuxRegion):
        def __init__(self) -> None:
            super().__init__(32 << 20, huge_pages=False)
            self.asked: list[tuple[int, int]] = []
            self._map = self  # type: ignore[assignment] - hears the advice in the map's place

        def madvise(self, advice: int, start: int, nbytes: int) -> None:
            assert advice == mmap.MADV_HUGEPAGE
            self.asked.append((start, nbytes))

    huge = 2 << 20
    region = Watched()
    region.allow_huge_pages(PAGE, 9 << 20)
    ((start, nbytes),) = region.asked
    assert (region.address + start) % huge == nbytes % huge == 0
    assert start >= PAGE
    assert start + nbytes <= 9 << 20
    assert nbytes >= (9 << 20) - 2 * huge - PAGE
    region.asked.clear()
    region.allow_huge_pages(PAGE, 1 << 20)
    assert not region.asked


@linux_only
def test_windows_itself_is_asked_on_windows_only() -> None:
    with pytest.raises(OSError, match="library of Windows"):
        windows_storage.kernel32()


@linux_only
def test_macos_turns_the_cache_off_and_reads_at_positions(path: Path, monkeypatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(
        posix_storage.fcntl, "fcntl", lambda _fd, what, on: asked.append((what, on))
    )
    expected = path.read_bytes()
    for direct in (True, False):
        file = posix_storage.MacFile(path, direct=direct)
        page = bytearray(PAGE)
        assert file.read_into(memoryview(page), 4 * PAGE) == PAGE
        assert page == expected[4 * PAGE : 5 * PAGE]
        assert file.nbytes == SIZE
        file.close()
    assert asked == [(48, 1)]


@linux_only
def test_macos_refuses_a_file_without_direct_reads_and_closes_it(path: Path, monkeypatch) -> None:
    def refuse(_fd: int, _what: int, _on: int) -> None:
        raise OSError(errno.ENOTSUP, "not on this volume")

    monkeypatch.setattr(posix_storage.fcntl, "fcntl", refuse)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match="volume"):
        posix_storage.MacFile(path, direct=True)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@linux_only
def test_macos_pages_are_marked_reusable_and_claimed_before_their_use() -> None:
    class Watched(posix_storage.MacRegion):
        asked: list[tuple[int, int, int]]

        def __init__(self) -> None:
            super().__init__(6 * PAGE, huge_pages=False)
            self.asked = []
            self._map = self  # type: ignore[assignment] - hears the advice in the map's place

        def madvise(self, *advice: int) -> None:
            self.asked.append(advice)

    region = Watched()
    region.discard(5, 3 * PAGE + 5)
    region.commit(PAGE + 5, 2 * PAGE + 5)
    assert region.asked == [(7, PAGE, 2 * PAGE), (8, PAGE, 2 * PAGE)]


@pytest.mark.skipif(sys.platform == "darwin", reason="there bytes may stay")
def test_discarded_memory_reads_as_zeros_and_its_edges_stay() -> None:
    region = SystemRegion(4 * PAGE, huge_pages=False)
    region.commit(0, 4 * PAGE)
    region.bytes[:] = b"x" * (4 * PAGE)
    region.discard(100, 3 * PAGE + 100)
    region.commit(PAGE, 3 * PAGE)
    assert bytes(region.bytes[PAGE : 3 * PAGE]) == b"\0" * (2 * PAGE)
    assert bytes(region.bytes[:PAGE]) == b"x" * PAGE
    assert bytes(region.bytes[3 * PAGE :]) == b"x" * PAGE
    region.close()


@pytest.mark.parametrize("refused", [False, pytest.param(True, marks=linux_only)])
def test_pages_that_another_region_takes_are_discarded_where_they_were(refused, monkeypatch):
    def halfway(_from: int, nbytes: int, *others: int) -> int:
        """As Linux fails: what was at the new address may be gone."""
        libc = ctypes.CDLL(None)
        libc.munmap.argtypes = ctypes.c_size_t, ctypes.c_size_t
        assert libc.munmap(others[-1], nbytes) == 0
        return -1

    if refused:
        monkeypatch.setattr(posix_storage, "_mremap", halfway)
    giver, taker = (SystemRegion(4 * PAGE, huge_pages=False) for _ in range(2))
    for region in (giver, taker):
        region.commit(0, 4 * PAGE)
    giver.bytes[:] = b"x" * (4 * PAGE)
    taker.bytes[3 * PAGE :] = b"y" * PAGE
    for _ in range(2):  # also where pages were taken before
        giver.commit(PAGE, 3 * PAGE)
        giver.bytes[PAGE : 3 * PAGE] = b"x" * (2 * PAGE)
        taker.take_pages(0, 2 * PAGE, giver, PAGE)
        giver.commit(PAGE, 3 * PAGE)
        if sys.platform != "darwin":  # there bytes may stay
            assert bytes(giver.bytes) == b"x" * PAGE + b"\0" * (2 * PAGE) + b"x" * PAGE
        if sys.platform == "linux":
            assert bytes(taker.bytes[: 2 * PAGE]) == (b"\0" if refused else b"x") * (2 * PAGE)
        assert bytes(taker.bytes[3 * PAGE :]) == b"y" * PAGE
    for region in (giver, taker):
        region.close()
