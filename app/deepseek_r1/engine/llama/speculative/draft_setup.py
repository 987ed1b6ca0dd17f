"""Loads a draft model, and makes the drafting of a loaded target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from deepseek_r1.core.errors import DraftUnfit
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import DraftMode
from deepseek_r1.engine.llama.binding.context import LlamaContext
from deepseek_r1.engine.llama.binding.library import Library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.engine.llama.speculative.draft_memory import DraftMemory
from deepseek_r1.engine.llama.speculative.draft_model import DraftModel
from deepseek_r1.engine.llama.speculative.drafting import Drafting
from deepseek_r1.engine.protocol.base import OpenRequest
from deepseek_r1.hardware.storage import RawFile, SystemFile
from deepseek_r1.memory.drafts import draft_kv_type
from deepseek_r1.memory.estimate import unhidden_compute_s


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
) -> DraftModel | None:
    """Load the draft model of a request; None where there is none.

    Raises DraftUnfit, ModelLoadFailed, LoadStopped.
    """
    draft = request.draft
    if draft is None:
        return None
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
            kv_type=draft_kv_type(draft.header),
            context_length=request.settings.context_length,
            threads=threads,
        )
    except BaseException:
        model.close()
        raise


def make_drafting(
    request: OpenRequest,
    context: LlamaContext,
    model: LlamaModel,
    memory: DraftMemory,
) -> Drafting:
    """Return the drafting of a loaded target. A chosen draft model counts as drafts by name."""
    mode = request.settings.drafts
    if request.draft is not None or request.draft_released:
        mode = DraftMode.MODEL
    if not model.can_truncate:
        mode = DraftMode.OFF
    compute_s = unhidden_compute_s(request.header, context.params.threads)
    return Drafting(context, mode, memory, compute_s=compute_s)
