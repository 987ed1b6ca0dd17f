"""From a path to an engine: read the header, take the options, refuse what does not fit, load."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.events import ModelLoaded
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.core.words import tr
from deepseek_r1.engine.base import Engine, OpenRequest
from deepseek_r1.engine.registry import open_engine
from deepseek_r1.formats.gguf import ModelHeader, read_header
from deepseek_r1.inference.options import default_context, with_options
from deepseek_r1.inference.share import facts_of, process_share, streamed_mib, with_measured
from deepseek_r1.inference.thread_profile import known
from deepseek_r1.memory.plan import ProcessShare, require_fit

MAX_BATCH = 64


@dataclass(frozen=True, slots=True)
class Opened:
    """An engine that is ready, and all that was known when it was opened."""

    engine: Engine
    header: ModelHeader
    settings: LoadSettings
    share: ProcessShare
    loaded: ModelLoaded


def open_model(
    path: Path,
    settings: LoadSettings | None,
    options: dict[str, Any],
    *,
    batch_size: int,
    window_mib: float | None,
    on_accepted: Callable[[], None],
    on_progress: Callable[[float], bool],
) -> Opened:
    """Load the model; the options that are not None override `settings`.

    Raises ModelRefused, WrongUsage, EngineStartFailed. `on_accepted` is not called where the file
    is refused by its header or its bill.
    """
    began = time.perf_counter()
    header = read_header(path)
    if settings is None and options.get("context_length") is None:
        options = options | {"context_length": default_context(header)}
    chosen = with_options(settings or LoadSettings(), **options)
    if not 1 <= batch_size <= MAX_BATCH:
        raise WrongUsage(detail=tr("batch_size must be 1 to {most}.", most=MAX_BATCH))
    share = process_share(window_mib, legacy=header.legacy)
    bill = require_fit(header, chosen, share)
    on_accepted()
    measured = known(header)
    engine = open_engine(
        OpenRequest(
            header,
            chosen,
            batch_size,
            on_progress,
            weights_mib=streamed_mib(bill),
            automatic_threads=measured.counts if measured else None,
        )
    )
    threads, threads_prefill = engine.threads
    loaded = ModelLoaded(
        facts=facts_of(header, chosen, engine),
        bill=with_measured(bill, engine),
        load_s=time.perf_counter() - began,
        threads=threads,
        threads_prefill=threads_prefill,
        measured=measured,
    )
    return Opened(engine, header, chosen, share, loaded)
