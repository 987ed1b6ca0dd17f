"""The plan of a load: what it opens, and its bill, before native code opens a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from deepseek_r1.core.events import GraphicsUse
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.memory.advice import require_fit
from deepseek_r1.memory.other_models import OtherModels
from deepseek_r1.memory.plan import (
    MemoryPlan,
    ProcessOverhead,
    residency_without_draft,
    with_context,
)
from deepseek_r1.weights.residency import Residency


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
