"""Loads a model: reads the header, validates the options, refuses a misfit, opens the engine."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from deepseek_r1.core.errors import SystemTooTight, WrongUsage
from deepseek_r1.core.events import GraphicsUse, ModelFacts, ModelLoaded
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.engine.prompt.template import open_template
from deepseek_r1.engine.prompt.template_process import end_renderer, start_renderer
from deepseek_r1.engine.protocol.base import DraftRequest, Engine, OpenRequest, Progress
from deepseek_r1.engine.protocol.vocabulary_map import compared_vocabularies
from deepseek_r1.formats.gguf import ModelHeader, read_header
from deepseek_r1.inference.process_overhead import process_share, with_measured
from deepseek_r1.inference.registry import open_engine
from deepseek_r1.memory.advice import require_fit
from deepseek_r1.memory.graphics import planned_graphics
from deepseek_r1.memory.kernel_times import KernelTimes
from deepseek_r1.memory.other_models import draft_header, draft_mib, embedding_header, embedding_mib
from deepseek_r1.memory.plan import (
    MemoryPlan,
    ProcessOverhead,
    residency_without_draft,
    with_context,
)

if TYPE_CHECKING:
    from deepseek_r1.engine.llama.prompt_cache.segment_store import PromptCache

OnAccepted = Callable[[Sequence[Path], str], None]
MAX_BATCH = 64
PROMPT_CACHE_MIB = 2048  # the default disk budget of a folder
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class ModelToLoad:
    """A model to load, with what the caller says about it: see `CPUInference`."""

    path: Path
    settings: LoadSettings
    batch_size: int
    window_mib: float | None
    prompt_cache: PromptCache | None
    chat_template: str
    isolated: bool


@dataclass(frozen=True, slots=True)
class AcceptedModel:
    """A model that fits, before native code opens its files."""

    header: ModelHeader
    settings: LoadSettings
    overhead: ProcessOverhead
    planned: MemoryPlan
    draft: ModelHeader | None
    drafting: DraftRequest | None
    embedding: ModelHeader | None
    graphics: GraphicsUse

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that will be opened."""
        others = (each.parts for each in (self.draft, self.embedding) if each is not None)
        return (*self.header.parts, *chain.from_iterable(others))


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """An open engine, and the values it was opened with."""

    engine: Engine
    accepted: AcceptedModel
    loaded: ModelLoaded


def _accepted(request: ModelToLoad) -> AcceptedModel:
    start_renderer()  # is ready by the time the header is read
    header, chosen = read_header(request.path), request.settings
    if not 1 <= request.batch_size <= MAX_BATCH:
        raise WrongUsage(detail=tr("batch_size must be between 1 and {most}.", most=MAX_BATCH))
    draft, drafting = draft_header(chosen, header), None
    overhead = process_share(request.window_mib, legacy=header.legacy, isolated=request.isolated)
    if draft is not None:
        overhead = replace(overhead, draft_mib=draft_mib(draft, chosen))
    if (embedding := embedding_header(chosen, header)) is not None:
        overhead = replace(overhead, embedding_mib=embedding_mib(embedding))
    graphics = planned_graphics(header, chosen)
    overhead = replace(overhead, driver_mib=graphics.driver_mib)
    if not header.legacy:
        overhead = replace(overhead, times=_times(header))
    chosen = with_context(header, chosen, overhead)
    planned = require_fit(header, chosen, overhead)
    if header.legacy:
        end_renderer()
    else:  # refused before the present model is given up
        open_template(header, request.chat_template)
    if draft is not None:
        drafting = DraftRequest(draft, compared_vocabularies(header, draft))
    return AcceptedModel(header, chosen, overhead, planned, draft, drafting, embedding, graphics)


def _times(header: ModelHeader) -> KernelTimes:
    from deepseek_r1.engine.llama.binding.kernel_measuring import measured_times  # noqa: PLC0415 - native
    from deepseek_r1.engine.llama.binding.library import library  # noqa: PLC0415 - native

    return measured_times(library(), header)


def _with_graphics(accepted: AcceptedModel, on_progress: Progress) -> AcceptedModel:
    """Open the planned device, and plan with what its driver takes. Raises as `open_model`."""
    from deepseek_r1.engine.llama.binding.graphics_device import open_graphics  # noqa: PLC0415 - native

    header, settings = accepted.header, accepted.settings
    opened = open_graphics(header, settings, accepted.graphics, on_progress)
    overhead = replace(accepted.overhead, driver_mib=opened.driver_mib)
    planned = require_fit(header, settings, overhead)
    return replace(accepted, overhead=overhead, planned=planned, graphics=opened)


def open_model(
    request: ModelToLoad,
    on_accepted: OnAccepted,
    on_progress: Progress,
) -> LoadedModel:
    """Load the model. Raises ModelRefused, WrongUsage, EngineStartFailed.

    `on_accepted` is called with the files that will be opened and the name of the graphics
    processor, and not where the model is refused
    by its header or its bill.
    """
    if sys.platform == "linux" and not Path("/proc/self").exists():
        raise SystemTooTight(detail=tr("It measures memory by /proc, which is missing."))
    began = time.perf_counter()
    accepted = _accepted(request)
    on_accepted(accepted.files, accepted.graphics.device)
    if accepted.graphics.device:
        accepted = _with_graphics(accepted, on_progress)
    header, chosen, planned = accepted.header, accepted.settings, accepted.planned
    without_draft = None
    if planned.residency:
        without_draft = residency_without_draft(header, chosen, accepted.overhead)
    engine = open_engine(
        OpenRequest(
            header,
            chosen,
            request.batch_size,
            on_progress,
            residency=planned.residency,
            prompt_cache=request.prompt_cache,
            chat_template=request.chat_template,
            isolated=request.isolated,
            draft=accepted.drafting,
            residency_without_draft=without_draft,
            graphics=accepted.graphics.device,
            draft_released=accepted.draft is None and bool(chosen.draft_path),
            embedding_model=accepted.embedding,
            times=accepted.overhead.times,
        )
    )
    threads, threads_prefill = engine.threads
    loaded = ModelLoaded(
        facts=_facts(accepted, engine),
        bill=with_measured(planned.bill, engine),
        load_s=time.perf_counter() - began,
        threads=threads,
        threads_prefill=threads_prefill,
    )
    return LoadedModel(engine, accepted, loaded)


def _facts(accepted: AcceptedModel, engine: Engine) -> ModelFacts:
    """Return the facts of the header, with the engine's name and what it found."""
    header = accepted.header
    return ModelFacts(
        path=str(header.path),
        name=header.name,
        architecture=header.architecture,
        file_mib=header.file_bytes / _MIB,
        parameters=header.parameters,
        quantisation=header.quantisation,
        context_length=accepted.settings.context_length,
        context_trained=header.context_trained,
        vocabulary=header.vocabulary,
        reasons=engine.reasons,
        engine=engine.name,
        format=header.format_name,
        ignored=engine.ignored,
        template=engine.template,
        graphics=accepted.graphics,
        embedding_model=accepted.embedding.name if accepted.embedding is not None else "",
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
