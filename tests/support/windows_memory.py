"""Asks Windows about the memory and the handles of this process."""

import ctypes
import sys
from typing import Any

_COMMITTED = 0x1000
_PAGE = 4096


def kernel32() -> Any:
    """The library, on Windows."""
    return ctypes.WinDLL("kernel32")


def under_wine() -> bool:
    return sys.platform == "win32" and hasattr(ctypes.WinDLL("ntdll"), "wine_get_version")


def handles() -> int:
    """How many handles this process has."""
    count = ctypes.c_uint32()
    kernel32().GetProcessHandleCount(ctypes.c_void_p(-1), ctypes.byref(count))
    return count.value


def committed_pages(address: int, nbytes: int) -> int:
    """How many pages of a range have memory: VirtualQuery reports runs of pages of one state."""
    query = kernel32().VirtualQuery
    query.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
    words = (ctypes.c_uint64 * 6)()  # MEMORY_BASIC_INFORMATION: [3] has the size, [4] the state
    pages, end = 0, address + nbytes
    while address < end:
        assert query(address, words, ctypes.sizeof(words))
        until = min(words[0] + words[3], end)
        pages += (until - address) // _PAGE if words[4] & 0xFFFFFFFF == _COMMITTED else 0
        address = until
    return pages
