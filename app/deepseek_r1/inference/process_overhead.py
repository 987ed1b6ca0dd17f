"""The memory of the process without the model, and the bill with measured sizes."""

from __future__ import annotations

import os
from functools import cache

from deepseek_r1.core.events import Bill
from deepseek_r1.engine.prompt.template_process import render_in_process, renderer_mib
from deepseek_r1.engine.protocol.base import Engine
from deepseek_r1.inference.registry import converts_f16_slowly, load_library
from deepseek_r1.memory import forecast
from deepseek_r1.memory.forecast import ENGINE_MEMORY, EngineMemory
from deepseek_r1.memory.meter import process_mib
from deepseek_r1.memory.plan import (
    ENGINE_RUNTIME_MIB,
    FIRST_ANSWER_MIB,
    LEGACY_PROCESS_MIB,
    RENDERER_MIB,
    ProcessOverhead,
)

# What a model's load leaves in the heap of Windows' C runtime, which returns little to the system:
# 13 to 17 MiB, measured under Wine. On Linux the plan's constant contains it.
_HEAP_GROWTH_MIB = 14.0


@cache
def _runtime_mib(legacy: bool, isolated: bool) -> float:
    """Measure this process with the engine's library loaded, before the first model."""
    if legacy and isolated:
        return process_mib(os.getpid()) + LEGACY_PROCESS_MIB
    load_library(legacy=legacy)
    return process_mib(os.getpid()) + (0.0 if legacy else RENDERER_MIB)


@cache
def _engine_runtime_mib() -> float:
    """Measure this process, which is the engine's, before its first model, and store the result.

    Raises EngineStartFailed.
    """
    load_library(legacy=False)
    render_in_process("", [])  # returns once the renderer has loaded its own libraries
    engine_mib = process_mib(os.getpid()) + FIRST_ANSWER_MIB + _HEAP_GROWTH_MIB
    measured = engine_mib + max(renderer_mib(), RENDERER_MIB)
    found = EngineMemory(runtime_mib=max(measured, ENGINE_RUNTIME_MIB))
    ENGINE_MEMORY.keep(forecast.measured_key(), found)
    return found.runtime_mib


def process_share(
    window_mib: float | None = None, *, legacy: bool = False, isolated: bool = False
) -> ProcessOverhead:
    """Return the memory of the processes before a model is loaded.

    With `window_mib` the caller is in a process of its own, which uses that much. This process is
    the engine's: on Linux its share is the plan's constant, elsewhere it is measured once, before
    the first model. None means that the caller is this process, with everything it holds: it is
    measured, with the engine for old files loaded if `legacy`, or with the process that holds it if
    `isolated`. Raises EngineStartFailed.
    """
    slow_f16 = not legacy and converts_f16_slowly()
    if window_mib is not None:
        runtime_mib = ENGINE_RUNTIME_MIB if forecast.constant_applies else _engine_runtime_mib()
        return ProcessOverhead(runtime_mib, window_mib, slow_f16=slow_f16)
    runtime_mib = _runtime_mib(legacy, legacy and isolated)  # one number of a process for GGUF
    return ProcessOverhead(runtime_mib, slow_f16=slow_f16)


def with_measured(bill: Bill, engine: Engine) -> Bill:
    """Return the bill with the sizes the engine allocated, and the rest of the process as runtime.

    Only memory that is resident counts against the process: the compute buffer is allocated, but
    first touched by the first answer; pinned weights are still being loaded, and slots fill later.
    """
    before = _touched_mib(engine)
    whole = process_mib(os.getpid()) + renderer_mib()
    sizes = dict(engine.measured_mib())
    # Weights that arrive while the process is measured are counted as half arrived.
    touched = (before + _touched_mib(engine)) / 2
    sizes["runtime"] = max(0.0, whole - touched)
    return bill.with_measured(sizes)


def _touched_mib(engine: Engine) -> float:
    """Return how much of the engine's buffers is in memory already."""
    sizes = engine.measured_mib()
    touched = sum(
        sizes.get(name, 0.0) for name in ("weights", "pinned", "kv_cache", "draft", "graphics")
    )
    if (stats := engine.weights_stats) is not None:
        touched += stats.slots_filled_mib - stats.loading_mib
    return touched
