"""Keeps the process's heap small: one arena, and free memory goes back to the system."""

import ctypes
import sys
import threading
from collections.abc import Callable

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of malloc.h
_LARGE_BYTES = 256 * 1024


def keep_heap_small(large_bytes: int = _LARGE_BYTES) -> None:
    """Let all threads share one arena, and give large blocks back as soon as they are free.

    By default each thread of Python gets an arena that keeps its highest use for ever, and the
    size from which a block is mapped by itself grows with use, up to 32 MiB: 25 MiB after an hour
    of lists, files and downloads in the window, 54 MiB after the second model in the engine.
    Called before the first thread; nothing happens without glibc.
    """
    set_option = _from_libc("mallopt")
    if set_option is not None:
        set_option(_M_ARENA_MAX, 1)
        set_option(_M_MMAP_THRESHOLD, large_bytes)
        set_option(_M_TRIM_THRESHOLD, large_bytes)


def return_free_memory() -> None:
    """Return it in a thread of its own, some milliseconds; nothing happens without glibc.

    What a dialog or a window took stays in glibc's heap when it is gone, up to ten MiB.
    """
    if sys.platform == "linux":
        threading.Thread(target=trim_heap, name="heap").start()


def trim_heap() -> None:
    """Return free memory to the system and wait for it; nothing happens without glibc."""
    trim = _from_libc("malloc_trim")
    if trim is not None:
        trim(0)


def _from_libc(name: str) -> Callable[..., int] | None:
    """A function of glibc; None elsewhere (musl has none of these)."""
    if sys.platform != "linux":
        return None
    found: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None)
    return found
