"""Recommends the known model that suits a computer and a budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deepseek_r1.catalogue.known_models import KnownFile, KnownModel, known_models
from deepseek_r1.core.events import Bill
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.memory.plan import ProcessOverhead, plan, preferred_context

# Q3_K_M has 4.0 to 4.2 bits per weight, Q4_K_M 4.8 to 5.0. Below it a model loses more than the
# next smaller one does at Q4_K_M.
_LEAST_BITS = 4.5
_MACHINE_SHARE = 0.75  # of the machine's memory; the rest is the system's and other programs'


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A file that fits, with its memory bill."""

    model: KnownModel
    file: KnownFile
    bill: Bill


def recommend(
    machine_memory_mib: float,
    budget_mib: int,
    *,
    settings: LoadSettings | None = None,
    share: ProcessOverhead | None = None,
) -> Recommendation | None:
    """Returns the best known model that fits both limits, None where not even the smallest does.

    More parameters are preferred to more bits, down to four bits per weight.
    """
    budget = int(min(budget_mib, machine_memory_mib * _MACHINE_SHARE))
    asked = (settings or LoadSettings()).model_copy(update={"memory_budget": budget})
    fitting = list(_fitting(asked, share or ProcessOverhead()))
    return max(fitting, key=_quality) if fitting else None


def _fitting(settings: LoadSettings, share: ProcessOverhead) -> Iterator[Recommendation]:
    for model in known_models():
        for file in model.files:
            header = model.header(file)
            bill = plan(header, settings, share).bill
            least = settings.context_length or preferred_context(header)
            if bill.fits and least <= min(bill.context_length, model.context_trained):
                yield Recommendation(model, file, bill)


def _quality(found: Recommendation) -> tuple[bool, int, int]:
    bits_per_weight = found.file.size_bytes * 8 / found.model.parameters
    return (bits_per_weight >= _LEAST_BITS, found.model.parameters, found.file.size_bytes)
