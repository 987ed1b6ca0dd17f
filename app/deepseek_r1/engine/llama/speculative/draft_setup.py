"""Loads a draft model, and makes the drafting of a loaded target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from deepseek_r1.core.errors import DraftUnfit, LoadStopped
from deepseek_r1.core.events import WeightsStats
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import DraftMode, LoadSettings
from deepseek_r1.engine.base import DraftRequest, OpenRequest
from deepseek_r1.engine.llama.context import LlamaContext
from deepseek_r1.engine.llama.library import Library
from deepseek_r1.engine.llama.model import LlamaModel
from deepseek_r1.engine.llama.speculative.draft_memory import DraftMemory
from deepseek_r1.engine.llama.speculative.draft_model import DraftModel
from deepseek_r1.engine.llama.speculative.drafting import Drafting
from deepseek_r1.engine.llama.speculative.measure_rows import measure_rows
from deepseek_r1.engine.llama.speculative.model_proposer import ModelProposer
from deepseek_r1.hardware.storage import RawFile, SystemFile


class LoadShares:
    """Reports the progress of a load: the draft model first, each by the size of its file.

    Its methods return False where the load has to stop, as `on_progress` does.
    """

    def __init__(self, request: OpenRequest, on_progress: Callable[[float], bool]) -> None:
        draft_bytes = request.draft.header.file_bytes if request.draft is not None else 0
        self._draft_share = draft_bytes / (draft_bytes + request.header.file_bytes)
        self._on_progress = on_progress

    def of_draft(self, fraction: float) -> bool:
        """Report the fraction of the draft model that is loaded, 0 to 1."""
        return self._on_progress(self._draft_share * fraction)

    def of_model(self, fraction: float) -> bool:
        """Report the fraction of the target that is loaded, 0 to 1."""
        return self._on_progress(self._draft_share + (1 - self._draft_share) * fraction)


class CacheDropping:
    """Reports the progress of a load, and drops from the page cache what was read on the way.

    llama.cpp reads a draft model through the page cache. A limit of a control group counts that,
    too: a container would run short of memory although the plan fits.
    """

    _STEP_BYTES = 32 << 20

    def __init__(self, files: Sequence[RawFile], on_progress: Callable[[float], bool]) -> None:
        self._files, self._on_progress = files, on_progress
        self._nbytes = sum(file.nbytes for file in files)
        self._dropped = 0  # bytes that had been read at the last time

    def __call__(self, fraction: float) -> bool:
        """Take the fraction that is loaded, 0 to 1. Returns whether the load goes on."""
        read = round(fraction * self._nbytes)
        if read - self._dropped >= self._STEP_BYTES or fraction >= 1:
            self._dropped = read
            for file in self._files:
                file.drop_cache(0, file.nbytes)
        return self._on_progress(fraction)


def open_draft(
    library: Library,
    request: OpenRequest,
    threads: tuple[int, int],
    on_progress: Callable[[float], bool],
) -> ModelProposer | None:
    """Load the draft model of a request; None where there is none.

    Raises DraftUnfit, ModelLoadFailed, LoadStopped.
    """
    draft = request.draft
    if draft is None:
        return None
    token_s = request.draft_times.token_s if request.draft_times else 0.0
    with ExitStack() as opened:
        files = [SystemFile(part, direct=False) for part in draft.header.parts]
        for file in files:
            opened.callback(file.close)
        model = LlamaModel(library, draft.header.parts, CacheDropping(files, on_progress))
    try:
        if not model.can_truncate:
            detail = tr("Tokens cannot be taken back from its memory.")
            raise DraftUnfit(draft=draft.header.name, model=request.header.name, detail=detail)
        return DraftModel(
            library,
            model,
            draft.vocabulary,
            context_length=request.settings.context_length,
            threads=threads,
            token_s=token_s,
        )
    except BaseException:
        model.close()
        raise


def make_drafting(
    request: OpenRequest,
    context: LlamaContext,
    model: LlamaModel,
    memory: DraftMemory,
    *,
    weights_stats: Callable[[], WeightsStats | None],
    on_progress: Callable[[float], bool],
) -> Drafting:
    """Return the drafting of a loaded target.

    Where drafts were chosen by name and no times are stored, the times are measured now, which
    takes two dozen passes. Raises ModelLoadFailed, and LoadStopped where `on_progress` returns
    False meanwhile.
    """
    mode = _mode_of(request.settings, request.draft)
    if not model.can_truncate:
        mode = DraftMode.OFF

    def go_on() -> None:
        if not on_progress(1.0):
            raise LoadStopped

    times, draft = request.draft_times, memory.model
    if times is None and mode in (DraftMode.LOOKUP, DraftMode.MODEL):
        times = measure_rows(context, model.vocabulary, draft, weights_stats, go_on)
        if draft is not None:
            draft.token_s = times.token_s
    return Drafting(context, mode, times, memory)


def _mode_of(settings: LoadSettings, draft: DraftRequest | None) -> DraftMode:
    """Return the mode in force: a chosen draft model counts as drafts by name."""
    return settings.drafts if draft is None else DraftMode.MODEL
