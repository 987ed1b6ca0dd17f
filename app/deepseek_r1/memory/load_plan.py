"""The plan of a load: what it opens, and its bill, before native code opens a file.

With the other models that the settings name: their headers, and the memory that they take. The
profile remembers the draft models that made answers slower, by machine, pair of models and budget.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from pydantic import BaseModel

from deepseek_r1.core.errors import DraftMissing, DraftUnfit, EmbeddingModelUnfit
from deepseek_r1.core.events import GraphicsUse
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.measured_file import Measurements
from deepseek_r1.core.settings import DraftMode, KVType, LoadSettings
from deepseek_r1.formats.gguf import ModelHeader, read_header
from deepseek_r1.hardware import packs_weights
from deepseek_r1.memory import cost_model
from deepseek_r1.memory.advice import require_fit
from deepseek_r1.memory.graphics import planned_graphics, shape_key
from deepseek_r1.memory.plan import (
    MemoryPlan,
    ProcessOverhead,
    residency_without_draft,
    with_context,
)
from deepseek_r1.weights.residency import Residency

DRAFT_BATCH = 128  # tokens that a draft model computes at once
# Measured: a 1.5B with a 0.5B of its family, greedy, four tokens drafted at a time: 4.2 for
# step-by-step arithmetic, 2.7 for chat, 2.3 for Chinese. The least of them is promised.
EXPECTED_TOKENS_PER_PASS = 2.3
EXPECTED_DRAFT_TOKENS = 4
_MOST_CELLS = 2048  # a draft model sees so much of the conversation's end
_BLOCK = 32  # values of q8_0
_MIB = 1 << 20
EMBEDDING_TOKENS = 512  # of a text, at most


# `formats.gguf.read_header`, or one that reads in another process.
Read = Callable[..., ModelHeader]


class _Slow(BaseModel, frozen=True):
    slower: bool


_SLOW_DRAFTS = Measurements("slow_drafts", _Slow)


def draft_header(
    settings: LoadSettings, target: ModelHeader, read: Read = read_header
) -> ModelHeader | None:
    """Read the header of the chosen draft model with `read`; None where none is to be loaded.

    One with which an answer was slower under this budget is not. Raises ModelRefused:
    DraftMissing, DraftUnfit, and those of `read_header`.
    """
    if not settings.draft_path:
        if settings.drafts is DraftMode.MODEL:
            raise DraftMissing(model=target.name)
        return None
    header = read(Path(settings.draft_path))
    for each, role in ((target, target.name), (header, header.name)):
        if each.legacy:
            detail = tr("{name} has an old format, with which drafts do not work.", name=role)
            raise DraftUnfit(draft=header.name, model=target.name, detail=detail)
    return None if _SLOW_DRAFTS.get(_key(target, header, settings.memory_budget)) else header


def draft_kv_type(header: ModelHeader) -> KVType:
    """The precision of a draft model's cache: q8_0 where its blocks divide the heads."""
    whole = header.key_length % _BLOCK == header.value_length % _BLOCK == 0
    return KVType.Q8_0 if whole else KVType.F16


def draft_cells(context_length: int) -> int:
    """The cells of a draft model's cache, for a target's context length; 0 is automatic."""
    return min(_MOST_CELLS, context_length or _MOST_CELLS)


def draft_mib(header: ModelHeader, settings: LoadSettings, overhead: ProcessOverhead) -> float:
    """All memory that a draft model takes, for the target's `settings`."""
    own = settings.model_copy(
        update={
            "context_length": draft_cells(settings.context_length),
            "micro_batch": DRAFT_BATCH,
            "kv_type": draft_kv_type(header),
        }
    )
    vocabulary_bytes = cost_model.vocabulary_bytes(header)
    return (
        cost_model.weights_bytes(header, packed=overhead.packs and overhead.times.repacks(header))
        + cost_model.kv_cache_bytes(header, own)
        + cost_model.compute_bytes(header, own)
        + cost_model.output_bytes(header)
        + 2 * vocabulary_bytes  # with the translation of its tokens
    ) / _MIB


def embedding_header(
    settings: LoadSettings, target: ModelHeader, read: Read = read_header
) -> ModelHeader | None:
    """Read the header of the chosen embedding model with `read`; None where there is none.

    Raises ModelRefused: EmbeddingModelUnfit, and those of `read_header`.
    """
    if not (path := settings.embedding_model):
        return None
    if target.legacy:
        detail = tr(
            "{name} has an old format, whose engine loads no second model.", name=target.name
        )
        raise EmbeddingModelUnfit(path=path, detail=detail)
    return read(Path(path), embedding=True)


def embedding_mib(header: ModelHeader) -> float:
    """All memory that an embedding model takes."""
    own = LoadSettings(context_length=EMBEDDING_TOKENS, micro_batch=EMBEDDING_TOKENS)
    return (
        cost_model.weights_bytes(header, packed=packs_weights())
        + cost_model.compute_bytes(header, own)
        + cost_model.vocabulary_bytes(header)
    ) / _MIB


@dataclass(frozen=True, slots=True)
class OtherModels:
    """The models loaded beside another; None and an empty device where there is none."""

    draft: ModelHeader | None
    embedding: ModelHeader | None
    graphics: GraphicsUse

    def added_to(self, overhead: ProcessOverhead, settings: LoadSettings) -> ProcessOverhead:
        """Add their memory, and that of a graphics driver."""
        return replace(
            overhead,
            draft_mib=draft_mib(self.draft, settings, overhead) if self.draft is not None else 0.0,
            embedding_mib=embedding_mib(self.embedding) if self.embedding is not None else 0.0,
            driver_mib=self.graphics.driver_mib,
        )


def read_other_models(
    settings: LoadSettings, target: ModelHeader, read: Read = read_header
) -> OtherModels:
    """Read the headers of the chosen other models. Raises as `draft_header`, `embedding_header`."""
    draft = draft_header(settings, target, read)
    embedding = embedding_header(settings, target, read)
    return OtherModels(draft, embedding, planned_graphics(target, settings))


def with_other_models(
    overhead: ProcessOverhead, settings: LoadSettings, target: ModelHeader, read: Read = read_header
) -> ProcessOverhead:
    """Add the memory of the chosen other models. Raises as `read_other_models` does."""
    return read_other_models(settings, target, read).added_to(overhead, settings)


def remember_slow(target: ModelHeader, draft: ModelHeader, budget_mib: int) -> None:
    """Let later loads leave the draft model out. Where it cannot be stored, they try it again."""
    _SLOW_DRAFTS.keep(_key(target, draft, budget_mib), _Slow(slower=True))


def _key(target: ModelHeader, draft: ModelHeader, budget_mib: int) -> str:
    drafted = f"{draft.architecture} {draft.parameters} {draft.quantisation}"
    return f"{shape_key(target)} | {drafted} | {budget_mib} MiB"


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """A model that fits, and the other models that its settings name.

    `settings` have no automatic context, and `overhead` has all models. The window's process makes
    one before it gives up the present model, and hands it to the engine's.
    """

    header: ModelHeader
    settings: LoadSettings
    overhead: ProcessOverhead
    memory: MemoryPlan
    others: OtherModels

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(chain.from_iterable(header.parts for header in self._headers))

    @property
    def _headers(self) -> list[ModelHeader]:
        headers = (self.header, self.others.draft, self.others.embedding)
        return [header for header in headers if header is not None]

    @property
    def residency_without_draft(self) -> Residency | None:
        """The residency of a streamed model once its draft model is freed; None without one."""
        if self.memory.residency is None:
            return None
        return residency_without_draft(self.header, self.settings, self.overhead)

    @property
    def usable(self) -> bool:
        """Whether its files are as they were. Between processes an old file's header is cut."""
        return not self.header.legacy and all(map(_unchanged, self._headers))

    def holds(self, overhead: ProcessOverhead) -> bool:
        """Whether it is right for processes of this overhead."""
        alone = replace(self.overhead, draft_mib=0.0, embedding_mib=0.0, driver_mib=0.0)
        return alone == overhead

    def with_graphics(self, opened: GraphicsUse) -> LoadPlan:
        """Plan with what the driver takes. Raises BudgetTooSmall."""
        overhead = replace(self.overhead, driver_mib=opened.driver_mib)
        memory = require_fit(self.header, self.settings, overhead)
        others = replace(self.others, graphics=opened)
        return replace(self, overhead=overhead, memory=memory, others=others)


def plan_load(
    header: ModelHeader, settings: LoadSettings, overhead: ProcessOverhead, others: OtherModels
) -> LoadPlan:
    """Plan a load, with `overhead` before any model. Raises ContextTooLarge, BudgetTooSmall."""
    overhead = others.added_to(overhead, settings)
    settings = with_context(header, settings, overhead)
    return LoadPlan(header, settings, overhead, require_fit(header, settings, overhead), others)


def _unchanged(header: ModelHeader) -> bool:
    try:
        found = [part.stat() for part in header.parts]
    except OSError:
        return False
    return [(part.st_size, part.st_mtime_ns) for part in found] == list(header.states)
