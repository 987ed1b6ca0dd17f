"""Storage on Windows: FILE_FLAG_NO_BUFFERING and ReadFile at offsets, reserved memory.

Handles are asynchronous although every read waits for its end: reads through an ordinary handle
wait for each other. Unlike on other systems, memory has to be committed before it is touched.
"""

from __future__ import annotations

import ctypes
import errno
import sys
from collections.abc import Callable
from ctypes import POINTER, byref, c_int, c_int64, c_size_t, c_uint32, c_void_p, c_wchar_p
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepseek_r1.hardware.storage.posix_storage import PAGE, page_down, page_up

_GENERIC_READ, _SHARE_ALL, _OPEN_EXISTING = 0x80000000, 7, 3
_OVERLAPPED, _NO_BUFFERING, _SEQUENTIAL_SCAN = 0x40000000, 0x20000000, 0x08000000
_COMMIT, _RESERVE, _DECOMMIT, _RELEASE, _READWRITE = 0x1000, 0x2000, 0x4000, 0x8000, 4
_INVALID_HANDLE = c_void_p(-1).value
_END_OF_FILE, _PENDING = 38, 997
# Error codes of winerror.h, for the errors that are distinguished.
_ERRNO = {
    2: errno.ENOENT, 3: errno.ENOENT, 5: errno.EACCES, 8: errno.ENOMEM, 32: errno.EBUSY,
    87: errno.EINVAL, 487: errno.EINVAL, 1455: errno.ENOMEM,
}  # fmt: skip


class _Overlapped(ctypes.Structure):
    _fields_ = (
        ("internal", c_size_t),
        ("internal_high", c_size_t),
        ("offset_low", c_uint32),
        ("offset_high", c_uint32),
        ("event", c_void_p),
    )


# The result and the arguments of each function of kernel32.
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "CreateFileW": (c_void_p, c_wchar_p, *[c_uint32] * 2, c_void_p, *[c_uint32] * 2, c_void_p),
    "GetFileSizeEx": (c_int, c_void_p, POINTER(c_int64)),
    "CreateEventW": (c_void_p, c_void_p, c_int, c_int, c_wchar_p),
    "ReadFile": (c_int, c_void_p, c_void_p, c_uint32, c_void_p, POINTER(_Overlapped)),
    "GetOverlappedResult": (c_int, c_void_p, POINTER(_Overlapped), POINTER(c_uint32), c_int),
    "CloseHandle": (c_int, c_void_p),
    "VirtualAlloc": (c_void_p, c_void_p, c_size_t, c_uint32, c_uint32),
    "VirtualFree": (c_int, c_void_p, c_size_t, c_uint32),
}


class Kernel32:
    """The functions of kernel32 that are used here, with their types."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __init__(self, library: Any, last_error: Callable[[], int]) -> None:
        """`last_error` returns the calling thread's error after a function of `library` failed."""
        self.last_error = last_error
        for name, (result, *arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)

    def failure(self, function: str) -> OSError:
        """The exception for the last failed call."""
        code = self.last_error()
        return OSError(_ERRNO.get(code, errno.EIO), f"{function}: Windows error {code}")


@cache
def kernel32() -> Kernel32:
    """The system's kernel32. Raises OSError on other systems."""
    if sys.platform == "win32":
        return Kernel32(ctypes.WinDLL("kernel32", use_last_error=True), ctypes.get_last_error)
    raise OSError(errno.ENOSYS, "kernel32 is a library of Windows")


class WindowsFile:
    """A handle; see `LinuxFile`."""

    def __init__(self, path: Path, *, direct: bool) -> None:
        self._kernel = kernel32()
        how = _OVERLAPPED | (_NO_BUFFERING if direct else _SEQUENTIAL_SCAN)
        self._handle = self._kernel.CreateFileW(
            str(path), _GENERIC_READ, _SHARE_ALL, None, _OPEN_EXISTING, how, None
        )
        if self._handle in (None, _INVALID_HANDLE):
            raise self._kernel.failure("CreateFile")
        size = c_int64(0)
        if not self._kernel.GetFileSizeEx(self._handle, byref(size)):
            error = self._kernel.failure("GetFileSizeEx")
            self.close()
            raise error
        self.nbytes = size.value
        self.descriptor: int = self._handle

    def read_into(self, into: memoryview, offset: int) -> int:
        event = self._kernel.CreateEventW(None, True, False, None)  # signals this read's end
        if not event:
            raise self._kernel.failure("CreateEvent")
        try:
            return self._read(into, offset, event)
        finally:
            self._kernel.CloseHandle(event)

    def _read(self, into: memoryview, offset: int, event: int) -> int:
        kernel, count = self._kernel, c_uint32(0)
        position = _Overlapped(
            offset_low=offset & 0xFFFFFFFF, offset_high=offset >> 32, event=event
        )
        target = ctypes.c_char.from_buffer(into)
        started = kernel.ReadFile(
            self._handle, ctypes.addressof(target), into.nbytes, None, byref(position)
        )
        if not started and kernel.last_error() != _PENDING:
            return self._end_or_raise()
        if not kernel.GetOverlappedResult(self._handle, byref(position), byref(count), True):
            return self._end_or_raise()
        return count.value

    def _end_or_raise(self) -> int:
        if self._kernel.last_error() == _END_OF_FILE:
            return 0
        raise self._kernel.failure("ReadFile")

    def drop_cache(self, offset: int, nbytes: int) -> None:
        """Does nothing: Windows has no such advice; the sequential scan drops pages by itself."""

    def close(self) -> None:
        self._kernel.CloseHandle(self._handle)


class WindowsRegion:
    """Memory that is reserved, which costs nothing; committed pages are zero until written."""

    def __init__(self, nbytes: int, *, huge_pages: bool) -> None:
        self._kernel = kernel32()
        self.nbytes = max(page_up(nbytes), PAGE)
        kind = _RESERVE | _COMMIT if huge_pages else _RESERVE
        address = self._kernel.VirtualAlloc(None, self.nbytes, kind, _READWRITE)
        if not address:
            raise self._kernel.failure("VirtualAlloc")
        self.address: int = address
        self.bytes = memoryview((ctypes.c_char * self.nbytes).from_address(address)).cast("B")

    def commit(self, start: int, end: int) -> None:
        first = page_down(start)
        nbytes = page_up(end) - first
        if not self._kernel.VirtualAlloc(self.address + first, nbytes, _COMMIT, _READWRITE):
            raise self._kernel.failure("VirtualAlloc")

    def allow_huge_pages(self, start: int, end: int) -> None:
        """Does nothing: on Windows, huge pages require the privilege to lock memory."""

    def take_pages(self, _start: int, nbytes: int, giver: WindowsRegion, giver_start: int) -> None:
        """Discard them: Windows does not move pages."""
        giver.discard(giver_start, giver_start + nbytes)

    def discard(self, start: int, end: int) -> None:
        first, last = page_up(start), page_down(end)
        if first < last and not self._kernel.VirtualFree(
            self.address + first, last - first, _DECOMMIT
        ):
            raise self._kernel.failure("VirtualFree")

    def close(self) -> None:
        self.bytes.release()
        self._kernel.VirtualFree(self.address, 0, _RELEASE)
