"""What the process costs before a model and with one, and what that model is."""

from __future__ import annotations

import os
from functools import cache

from deepseek_r1.core.events import Bill, ModelFacts
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.engine.base import Engine
from deepseek_r1.engine.registry import load_library
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.memory.meter import process_mib
from deepseek_r1.memory.plan import WEIGHT_LINES, ProcessShare


@cache
def _runtime_mib(legacy: bool) -> float:
    """This process with the engine's library in it, before the first model."""
    load_library(legacy=legacy)
    return process_mib(os.getpid())


def process_share(window_mib: float | None = None, *, legacy: bool = False) -> ProcessShare:
    """What the processes cost before a model is loaded.

    With the caller in a process of its own, which takes `window_mib`, it is what every bill of the
    engine's process says. None where the caller is this process, whatever else it holds: measured
    then, with the engine for old files in it if `legacy`.
    """
    if window_mib is not None:
        return ProcessShare(window_mib=window_mib)
    return ProcessShare(runtime_mib=_runtime_mib(legacy))


def streamed_mib(bill: Bill) -> float | None:
    """What the weights may take where the bill says they are streamed, else None."""
    lines = {line.name: line.planned_mib for line in bill.lines}
    if "slots" not in lines:
        return None
    return sum(lines.get(name, 0.0) for name in WEIGHT_LINES)


def with_measured(bill: Bill, engine: Engine) -> Bill:
    """The bill with what the engine says it allocated, and the rest of the process as runtime.

    Only what is in memory already counts against the process: the compute buffer is allocated,
    but first touched by the first answer; weights that are kept still arrive, and slots fill.
    """
    sizes = dict(engine.measured_mib())
    whole = process_mib(os.getpid())  # first: what arrives meanwhile is then counted as arrived
    touched = sum(sizes.get(name, 0.0) for name in ("weights", "pinned", "kv_cache"))
    if (stats := engine.weights_stats) is not None:
        touched += stats.slots_filled_mib - stats.arriving_mib
    sizes["runtime"] = max(0.0, whole - touched)
    lines = tuple(
        line.model_copy(update={"measured_mib": sizes.get(line.name)}) for line in bill.lines
    )
    return bill.model_copy(update={"lines": lines})


def facts_of(header: ModelHeader, settings: LoadSettings, engine: Engine) -> ModelFacts:
    """What was loaded, as the header and the engine tell it."""
    return ModelFacts(
        path=str(header.path),
        name=header.name,
        architecture=header.architecture,
        file_mib=header.file_bytes / (1 << 20),
        parameters=header.parameters,
        quantisation=header.quantisation,
        context_length=settings.context_length,
        context_trained=header.context_trained,
        vocabulary=header.vocabulary,
        reasons=engine.reasons,
        engine=engine.name,
        format=header.format_name,
        ignored=engine.ignored,
    )
