"""Ways out where a model was refused: settings that load it, each with its speed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from deepseek_r1.catalogue.forecaster import Forecaster
from deepseek_r1.core.errors import (
    ContextTooLarge,
    DraftUnfit,
    EmbeddingModelUnfit,
    ErrorReport,
    ModelRefused,
)
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import DraftMode, LoadSettings
from deepseek_r1.core.units import format_mib
from deepseek_r1.hardware.pressure import memory_reading
from deepseek_r1.memory.advice import advise
from deepseek_r1.memory.forecast import WINDOW_MAX_MIB, Fit, estimate_fit, planned_share, with_rate
from deepseek_r1.memory.load_plan import with_other_models


@dataclass(frozen=True, slots=True)
class Refusal:
    """A model that was refused, with the settings of that load."""

    path: Path
    settings: LoadSettings
    report: ErrorReport
    own_template: bool = False  # the template in the file, not a chosen one, cannot be used

    def is_about(self, other: str, unfit: type[ModelRefused]) -> bool:
        """True where another model, the file `other` or none, was refused, not the model."""
        at_fault = self.report.facts.get("path")
        same_file = isinstance(at_fault, str) and Path(at_fault) == Path(other)
        return bool(other) and (same_file or self.report.code == unfit.__name__)


@dataclass(frozen=True, slots=True)
class WaysOut:
    """At most two ways to load a refused model, and the refusal's text without other advice.

    A way is the text of its button, and settings that load the model.
    """

    path: Path
    text: str
    ways: Mapping[str, LoadSettings]


def plain_way(refusal: Refusal) -> WaysOut | None:
    """The way out that needs no estimate: without another model, or with the trained context."""
    settings, report = refusal.settings, refusal.report
    if refusal.is_about(settings.embedding_model, EmbeddingModelUnfit):
        without = settings.model_copy(update={"embedding_model": ""})
        way = {tr("Load without the embedding model"): without}
    elif refusal.is_about(settings.draft_model, DraftUnfit):
        way = {tr("Load without the draft model"): with_draft_model(settings, "")}
    elif report.code == ContextTooLarge.__name__:
        shorter = settings.model_copy(update={"context_length": report.facts["trained"]})
        way = {tr("Load it this way"): shorter}
    else:
        return None
    return WaysOut(refusal.path, report.text(), way)


def memory_ways(forecaster: Forecaster, refusal: Refusal, freed_mib: float) -> Iterator[WaysOut]:
    """A larger budget, where so much is free, and a smaller context or else the disk.

    `freed_mib` is the memory of the present model, which goes when the other one is loaded.
    """
    settings, read = refusal.settings, forecaster.headers.read_header
    header = read(refusal.path)
    forecaster.measure()
    share = with_other_models(planned_share(WINDOW_MAX_MIB), settings, header, read)
    reading = memory_reading()
    available_mib = reading.available_mib + freed_mib
    found = estimate_fit(header, settings, forecaster.speed, available_mib, share)
    nearest = advise(header, settings, share)
    ways: dict[str, LoadSettings] = {}
    advice = ""
    if (raised := found.raised) is not None:
        label = tr("Give it {memory}", memory=format_mib(raised.memory_budget))
        ways[with_rate(label, found.raised_tok_s)] = raised
    if nearest.bill is not None and not nearest.bill.streams:
        ways[tr("Load it this way")] = nearest.settings
        advice = nearest.text
    elif found.fit is Fit.FROM_DISK and not header.legacy:
        ways[with_rate(tr("Run it from the disk"), found.tok_s)] = found.settings
    if not ways:
        advice = nearest.text
        if nearest.settings.memory_budget <= reading.total_mib:
            ways[tr("Load it this way")] = nearest.settings
    facts = refusal.report.facts | {"advice": advice}
    report = refusal.report.model_copy(update={"facts": facts})
    yield WaysOut(refusal.path, report.text(), ways)


def with_draft_model(settings: LoadSettings, draft_model: str) -> LoadSettings:
    """The settings with another draft model; where there is none, drafts do not require one."""
    changed: dict[str, object] = {"draft_model": draft_model}
    if not draft_model and settings.drafts is DraftMode.MODEL:
        changed["drafts"] = DraftMode.AUTO
    return settings.model_copy(update=changed)
