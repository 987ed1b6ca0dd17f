"""Loads a model: reads the header, validates the options, refuses a misfit, opens the engine."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from deepseek_r1.core import wings
from deepseek_r1.core.errors import SystemTooTight, WrongUsage
from deepseek_r1.core.events import Bill, ModelFacts, ModelLoaded
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.engine.interface import (
    Engine,
    OpenRequest,
    Progress,
    compared_vocabularies,
)
from deepseek_r1.engine.prompt.template import open_template
from deepseek_r1.engine.prompt.template_process import (
    end_renderer,
    render_in_process,
    renderer_mib,
    start_renderer,
)
from deepseek_r1.formats.gguf import ModelHeader, read_header
from deepseek_r1.memory import forecast
from deepseek_r1.memory.forecast import ENGINE_MEMORY, EngineMemory
from deepseek_r1.memory.kernel_times import KernelTimes
from deepseek_r1.memory.load_plan import LoadPlan, plan_load, read_other_models
from deepseek_r1.memory.meter import process_mib
from deepseek_r1.memory.plan import (
    ENGINE_RUNTIME_MIB,
    FIRST_ANSWER_MIB,
    LEGACY_PROCESS_MIB,
    RENDERER_MIB,
    ProcessOverhead,
)

if TYPE_CHECKING:
    from deepseek_r1.engine.llama.prompt_cache.segment_store import PromptCache

OnAccepted = Callable[[LoadPlan], None]
MAX_BATCH = 64
PROMPT_CACHE_MIB = 2048  # the default disk budget of a folder
_MIB = 1 << 20


def _accepted(
    path: Path,
    settings: LoadSettings,
    plan: LoadPlan | None,
    *,
    window_mib: float | None,
    chat_template: str,
    isolated: bool,
) -> LoadPlan:
    """Return the plan, which is `plan` where it holds here. Raises what refuses the load."""
    start_renderer()  # is ready by the time the header is read
    plan = plan if plan is not None and plan.usable else None
    header = plan.header if plan is not None else read_header(path)
    legacy = header.legacy
    overhead = process_share(window_mib, legacy=legacy, isolated=isolated)
    others = plan.others if plan is not None else read_other_models(settings, header)
    if not legacy:
        drafts = [] if others.draft is None else [others.draft]
        overhead = replace(overhead, times=_times(header, *drafts))
    if plan is None or not plan.holds(overhead):
        plan = plan_load(header, settings, overhead, others)
    if legacy:
        end_renderer()
    else:  # refused before the present model is given up
        open_template(header, chat_template)
    return plan


def _times(*headers: ModelHeader) -> KernelTimes:
    from deepseek_r1.engine.llama.binding.kernel_measuring import measured_times  # noqa: PLC0415 - native
    from deepseek_r1.engine.llama.binding.library import library  # noqa: PLC0415 - native

    return measured_times(library(), *headers)


def _with_graphics(plan: LoadPlan, on_progress: Progress) -> LoadPlan:
    """Open the planned device, and plan with what its driver takes. Raises as `open_model`."""
    from deepseek_r1.engine.llama.binding.graphics_device import open_graphics  # noqa: PLC0415 - native

    opened = open_graphics(plan.header, plan.settings, plan.others.graphics, on_progress)
    return plan.with_graphics(opened)


def open_model(
    path: Path,
    settings: LoadSettings,
    plan: LoadPlan | None = None,
    *,
    batch_size: int,
    window_mib: float | None,
    prompt_cache: PromptCache | None,
    chat_template: str,
    isolated: bool,
    on_accepted: OnAccepted,
    on_progress: Progress,
) -> tuple[Engine, LoadPlan, ModelLoaded]:
    """Load the model; see `CPUInference`. Raises ModelRefused, WrongUsage, EngineStartFailed.

    `on_accepted` is called with what will be opened, and not where the model is refused by its
    header or its bill.
    """
    if sys.platform == "linux" and not Path("/proc/self").exists():
        raise SystemTooTight(detail=tr("Memory is measured through /proc, which is missing."))
    if not 1 <= batch_size <= MAX_BATCH:
        raise WrongUsage(detail=tr("batch_size must be between 1 and {most}.", most=MAX_BATCH))
    began = time.perf_counter()
    plan = _accepted(
        path,
        settings,
        plan,
        window_mib=window_mib,
        chat_template=chat_template,
        isolated=isolated,
    )
    draft = plan.others.draft
    vocabulary = None if draft is None else compared_vocabularies(plan.header, draft)
    on_accepted(plan)
    if plan.others.graphics.device:
        plan = _with_graphics(plan, on_progress)
    engine = open_engine(
        OpenRequest(
            plan.header,
            plan.settings,
            batch_size,
            on_progress,
            residency=plan.memory.residency,
            prompt_cache=prompt_cache,
            chat_template=chat_template,
            isolated=isolated,
            draft=draft,
            vocabulary=vocabulary,
            residency_without_draft=plan.residency_without_draft,
            graphics=plan.others.graphics.device,
            draft_released=draft is None and bool(plan.settings.draft_path),
            embedding_model=plan.others.embedding,
            times=plan.overhead.times,
        )
    )
    threads, threads_prefill = engine.threads
    loaded = ModelLoaded(
        facts=_facts(plan, engine),
        bill=with_measured(plan.memory.bill, engine),
        load_s=time.perf_counter() - began,
        threads=threads,
        threads_prefill=threads_prefill,
    )
    return engine, plan, loaded


def _facts(plan: LoadPlan, engine: Engine) -> ModelFacts:
    """Return the facts of the header, with the engine's name and what it found."""
    header, others = plan.header, plan.others
    return ModelFacts(
        path=str(header.path),
        name=header.name,
        architecture=header.architecture,
        file_mib=header.file_bytes / _MIB,
        parameters=header.parameters,
        quantisation=header.quantisation,
        context_length=plan.settings.context_length,
        context_trained=header.context_trained,
        vocabulary=header.vocabulary,
        reasons=engine.reasons,
        engine=engine.name,
        format=header.format_name,
        ignored=engine.ignored,
        template=engine.template,
        graphics=others.graphics,
        embedding_model=others.embedding.name if others.embedding is not None else "",
    )


def prompt_cache_of(
    given: str | Path | PromptCache | None,
) -> AbstractContextManager[PromptCache | None]:
    """Open a folder as a prompt cache, and close it at the end; an open cache stays as it is.

    Raises PromptCacheUnavailable.
    """
    if not isinstance(given, str | Path):
        return nullcontext(given)
    from deepseek_r1.engine.llama.prompt_cache.segment_store import PromptCache  # noqa: PLC0415 - seldom wanted

    return closing(PromptCache(Path(given), PROMPT_CACHE_MIB << 20))


def open_engine(request: OpenRequest) -> Engine:
    """Load the model with the engine that reads its format.

    Raises ModelRefused, EngineStartFailed.
    """
    if request.header.legacy:
        engine: Engine = wings.entry("old_engine")(request)
        return engine
    from deepseek_r1.engine.llama.runner import LlamaEngine  # noqa: PLC0415 - native, so late

    return LlamaEngine(request)


def converts_f16_slowly() -> bool:
    """Whether llama.cpp's code is slow with f16 numbers. Loads it. Raises EngineStartFailed."""
    from deepseek_r1.engine.llama.binding.library import library  # noqa: PLC0415 - native, so late

    return library().cpu_variant.converts_f16_slowly


def load_library(*, legacy: bool) -> None:
    """Load the engine's library into this process. Raises EngineStartFailed."""
    if legacy:
        wings.entry("old_library")()
    else:
        from deepseek_r1.engine.llama.binding.library import library as new  # noqa: PLC0415 - native

        new()


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
