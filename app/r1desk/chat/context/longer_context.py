"""A longer context as an offer: its size, its memory, and what must give where it does not fit."""

from __future__ import annotations

from math import ceil

from deepseek_r1.core.events import Bill, ModelFacts
from deepseek_r1.core.i18n import join_sentences, tr
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.hardware.pressure import memory_reading
from deepseek_r1.memory.estimate import Estimate
from r1desk.chat.values.context_ways import ContextOption, ContextWay

BUDGET_STEP_MIB = 64
LEFT_FREE_MIB = 1024  # for other programs, when a larger budget is offered


def longer_context(facts: ModelFacts, needed: int) -> int | None:
    """The next length, by doubling, that holds `needed` tokens; None where none does."""
    length = max(facts.context_length, 1) * 2
    while length < needed:
        length *= 2
    if 0 < facts.context_trained < length:
        length = facts.context_trained
    return length if length >= needed and length > facts.context_length else None


def too_long_option(facts: ModelFacts) -> ContextOption:
    """The model was not trained for more."""
    price = tr(
        "This model was trained for {trained} tokens at most.", trained=f"{facts.context_trained:,}"
    )
    return ContextOption(ContextWay.LONGER, tr("Longer context"), price, possible=False)


def fitting_settings(estimate: Estimate, settings: LoadSettings) -> LoadSettings | None:
    """Settings with which `settings`' context fits; None where this computer has no room."""
    if estimate.bill.fits:
        return settings
    nearest = estimate.fits_with
    if (
        nearest is not None
        and nearest.context_length >= settings.context_length
        and nearest.memory_budget <= settings.memory_budget
    ):
        return nearest
    budget = ceil(estimate.bill.total_mib / BUDGET_STEP_MIB) * BUDGET_STEP_MIB
    if budget - settings.memory_budget + LEFT_FREE_MIB > memory_reading().available_mib:
        return None
    return settings.model_copy(update={"memory_budget": budget})


def longer_option(
    estimate: Estimate, settings: LoadSettings, chosen: LoadSettings | None, present: Bill
) -> ContextOption:
    """The offer of `settings`, of which `chosen` fits."""
    bill = estimate.bill
    title = tr("Longer context: {length} tokens", length=f"{settings.context_length:,}")
    numbers = {
        "more": f"{max(0.0, bill.total_mib - present.total_mib):,.0f}",
        "total": f"{bill.total_mib:,.0f}",
        "budget": f"{bill.budget_mib:,.0f}",
    }
    parts = [tr("{more} MiB more memory, {total} of {budget} MiB.", **numbers)]
    if chosen is None:
        parts.append(tr("This computer does not have that much memory free."))
    elif chosen.memory_budget > settings.memory_budget:
        budget = f"{chosen.memory_budget:,}"
        parts.append(tr("The memory budget is raised to {budget} MiB for it.", budget=budget))
    elif chosen != settings:
        parts.append(estimate.advice.text)
    if chosen is not None:
        parts.append(tr("The model is loaded again and reads the conversation anew."))
    return ContextOption(
        ContextWay.LONGER, title, join_sentences(parts), possible=chosen is not None
    )
