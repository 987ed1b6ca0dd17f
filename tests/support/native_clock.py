"""How much time passes on either side of the border between Python and llama.cpp.

The clock stands on the native side: a few lines of C, compiled when they are asked for, around the
functions of llama.cpp that compute a token, and around what the native callback asks of Python. So
what is counted as native is native, and what Python costs includes the conversion of arguments and
the waiting for the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deepseek_r1.engine.llama.library import library
from deepseek_r1.native.native_library import OnNode, OnPass
from deepseek_r1.weights.streaming import streamed_weights
from deepseek_r1.weights.streaming.eval_callback import EvalCallback
from deepseek_r1.weights.streaming.prefetch import PrefetchRing

_CODE = r"""
#include <stdint.h>
#include <time.h>

struct batch { int32_t count; void *parts[6]; };  /* llama_batch */

int32_t (*decode_inside)(void *, struct batch);
int32_t (*sample_inside)(void *, void *, int32_t);
int (*on_node_inside)(uint64_t, int);
int (*on_pass_inside)(void);
int64_t decode_ns, sample_ns, callback_ns, decodes, callbacks;

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int32_t timed_decode(void *context, struct batch tokens) {
    int64_t began = now();
    int32_t status = decode_inside(context, tokens);
    decode_ns += now() - began;
    decodes++;
    return status;
}

int32_t timed_sample(void *chain, void *context, int32_t at) {
    int64_t began = now();
    int32_t token = sample_inside(chain, context, at);
    sample_ns += now() - began;
    return token;
}

int timed_on_node(uint64_t node, int ask) {
    int64_t began = now();
    int go_on = on_node_inside(node, ask);
    callback_ns += now() - began;
    callbacks++;
    return go_on;
}

int timed_on_pass(void) {
    int64_t began = now();
    int done = on_pass_inside();
    callback_ns += now() - began;
    callbacks++;
    return done;
}
"""
_NS = 1e9


@dataclass(frozen=True)
class Reading:
    """Seconds and counts since the clock was put in."""

    decode_s: float  # inside llama.cpp's computing, our callback included
    sample_s: float
    callback_s: float  # inside Python's part of our callback, its waits for the disk included
    ring_wait_s: float  # inside its native part: for weights that are still read
    decodes: int
    callbacks: int

    def __sub__(self, earlier: Reading) -> Reading:
        return Reading(*(getattr(self, name) - getattr(earlier, name) for name in _FIELDS))


_FIELDS = ("decode_s", "sample_s", "callback_s", "ring_wait_s", "decodes", "callbacks")


class NativeClock:
    """Reads the counters of the compiled code."""

    def __init__(self, handle: ctypes.CDLL) -> None:
        self._handle = handle
        self.ring: PrefetchRing | None = None  # of the model that was loaded last

    def read(self) -> Reading:
        """Everything until now."""
        return Reading(
            self._word("decode_ns") / _NS,
            self._word("sample_ns") / _NS,
            self._word("callback_ns") / _NS,
            self.ring.counters.wait_s if self.ring is not None else 0.0,
            self._word("decodes"),
            self._word("callbacks"),
        )

    def _word(self, name: str) -> int:
        return ctypes.c_int64.in_dll(self._handle, name).value


@contextmanager
def native_clock(folder: Path) -> Iterator[NativeClock]:
    """Put the clock around llama.cpp's functions for models that are loaded inside.

    Raises FileNotFoundError without a C compiler, CalledProcessError where it fails.
    """
    source, compiled = folder / "native_clock.c", folder / "native_clock.so"
    source.write_text(_CODE, encoding="ascii")
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", compiled, source]
    subprocess.run(command, check=True, capture_output=True)
    handle = ctypes.CDLL(str(compiled))
    api = library().api
    clock = NativeClock(handle)

    class Timed(EvalCallback):
        def __init__(self, prefetch, fields, on_node, on_pass):
            clock.ring = prefetch
            self._inside = OnNode(on_node), OnPass(on_pass)
            for name, inside in zip(("on_node", "on_pass"), self._inside, strict=True):
                _set(handle, f"{name}_inside", _address(inside))
            super().__init__(
                prefetch, fields, OnNode(_address(handle.timed_on_node)),
                OnPass(_address(handle.timed_on_pass)),
            )  # fmt: skip

    with pytest.MonkeyPatch.context() as patch:
        for inside, name in (
            ("decode_inside", "llama_decode"),
            ("sample_inside", "llama_sampler_sample"),
        ):
            original = getattr(api, name)
            _set(handle, inside, _address(original))
            ours: Any = getattr(handle, "timed_" + inside.removesuffix("_inside"))
            ours.argtypes, ours.restype = original.argtypes, original.restype
            patch.setattr(api, name, ours)
        patch.setattr(streamed_weights, "EvalCallback", Timed)
        yield clock


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _set(handle: ctypes.CDLL, name: str, address: int) -> None:
    ctypes.c_size_t.in_dll(handle, name).value = address
