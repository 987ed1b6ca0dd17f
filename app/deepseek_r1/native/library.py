"""The functions of the compiled library, with their types. What they do is told in the headers."""

from __future__ import annotations

import ctypes
import sys
from ctypes import POINTER, c_char, c_double, c_int, c_int64, c_size_t, c_uint64, c_void_p
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any

from deepseek_r1.core.errors import EngineStartFailed

_SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
LIBRARY = Path(__file__).with_name(f"streaming{_SUFFIX}")

# int (int64_t part, int64_t start, int64_t end, char *into)
ReadOtherwise = ctypes.CFUNCTYPE(c_int, c_int64, c_int64, c_int64, c_size_t)
OnNode = ctypes.CFUNCTYPE(c_int, c_uint64, c_int)
OnPass = ctypes.CFUNCTYPE(c_int)


class Outcome(IntEnum):
    """Of asking the ring for a weight."""

    NOT_AHEAD = 0
    GO_ON = 1
    COMPUTE = 2
    FAILED = 3


class File(ctypes.Structure):
    """An open file; `descriptor` -1 where it has no direct reads."""

    _fields_ = (("nbytes", c_int64), ("stride", c_int64), ("descriptor", c_int64))


class Weight(ctypes.Structure):
    """Where a weight is in which file."""

    _fields_ = (("part", c_int64), ("offset", c_int64), ("nbytes", c_int64))


class Counters(ctypes.Structure):
    """Of a ring, since it was made."""

    read_bytes: int
    filled_bytes: int
    wait_s: float
    _fields_ = (("read_bytes", c_int64), ("filled_bytes", c_int64), ("wait_s", c_double))


class TensorLayout(ctypes.Structure):
    """Where a ggml_tensor has what the callback looks at, in bytes."""

    _fields_ = tuple((name, c_int64) for name in ("type", "source", "data", "whole_numbers"))


class Owner(ctypes.Structure):
    """Python's part of the callback."""

    _fields_ = (("on_node", OnNode), ("on_pass", OnPass))


class Batch(ctypes.Structure):
    """A llama_batch."""

    _fields_ = (("count", c_int), ("parts", c_void_p * 6))


class Writer(ctypes.Structure):
    """Functions of llama.cpp, and what they are given. All but `one` are addresses."""

    decode: Any
    _fields_ = (
        ("decode", c_void_p),
        ("sampler_sample", c_void_p),
        ("vocab_is_eog", c_void_p),
        ("token_to_piece", c_void_p),
        ("context", c_void_p),
        ("vocabulary", c_void_p),
        ("one", Batch),
        ("token", c_void_p),
    )


class Page(ctypes.Structure):
    """Where a writer puts what it writes: addresses, and the room for text."""

    _fields_ = (
        ("tokens", c_void_p),
        ("times_s", c_void_p),
        ("text", c_void_p),
        ("text_room", c_int),
    )


class Written(ctypes.Structure):
    """What came of writing; a status that is 0 unless computing failed."""

    computed: int
    status: int
    told: int
    text_bytes: int
    _fields_ = tuple((name, c_int) for name in ("computed", "status", "told", "text_bytes"))


# What each function answers with, and what it takes.
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "ring_new": (c_void_p, POINTER(File), c_int, c_int64, ReadOtherwise, c_int),
    "ring_free": (None, c_void_p),
    "ring_add": (c_int, c_void_p, Weight),
    "ring_set_order": (None, c_void_p, POINTER(c_int), c_int),
    "ring_take": (c_int, c_void_p, c_int, POINTER(c_size_t)),
    "ring_release": (None, c_void_p),
    "ring_taken": (c_int, c_void_p, POINTER(c_int), c_int),
    "ring_restart": (None, c_void_p, c_int),
    "ring_rest": (None, c_void_p),
    "ring_use": (None, c_void_p, c_size_t, c_int64),
    "ring_counters": (None, c_void_p, POINTER(Counters)),
    "stretch_new": (c_void_p, c_void_p, TensorLayout, Owner),
    "stretch_free": (None, c_void_p),
    "stretch_watch": (None, c_void_p, c_uint64, c_int),
    "stretch_forget": (None, c_void_p, c_uint64),
    "stretch_show": (None, c_void_p, c_int, c_int),
    "stretch_see": (c_int, c_void_p, c_uint64),
    "stretch_begin_pass": (c_int, c_void_p, POINTER(c_uint64), c_int),
    "stretch_on_node": (ctypes.c_bool, c_size_t, ctypes.c_bool, c_void_p),
    "writer_write": (
        None, POINTER(Writer), c_void_p, POINTER(Page), c_int, c_double, c_char, POINTER(Written),
    ),
}  # fmt: skip


class Native:
    """The library's functions. None holds Python's lock."""

    ring_new: Any
    ring_free: Any
    ring_add: Any
    ring_set_order: Any
    ring_take: Any
    ring_release: Any
    ring_taken: Any
    ring_restart: Any
    ring_rest: Any
    ring_use: Any
    ring_counters: Any
    stretch_new: Any
    stretch_free: Any
    stretch_watch: Any
    stretch_forget: Any
    stretch_show: Any
    stretch_see: Any
    stretch_begin_pass: Any
    stretch_on_node: Any
    writer_write: Any

    def __init__(self, handle: Any) -> None:
        for name, (result, *arguments) in _FUNCTIONS.items():
            function = getattr(handle, name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)


@cache
def native() -> Native:
    """The library that was compiled with the application. Raises EngineStartFailed."""
    try:
        return Native(ctypes.CDLL(str(LIBRARY)))
    except (OSError, AttributeError) as error:
        raise EngineStartFailed(detail=str(error)) from error


def integers(numbers: list[int]) -> Any:
    """An array for `POINTER(c_int)`."""
    return (c_int * len(numbers))(*numbers)
