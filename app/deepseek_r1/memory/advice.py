"""Advises on settings that fit where the plan of a model exceeds its budget."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from deepseek_r1.core.errors import BudgetTooSmall
from deepseek_r1.core.events import Bill, BillItem
from deepseek_r1.core.i18n import N_, join_list, join_sentences, tr
from deepseek_r1.core.model_names import short_name
from deepseek_r1.core.settings import CacheStrategy, KVType, LoadSettings
from deepseek_r1.core.units import in_sentence
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.memory import cost_model
from deepseek_r1.memory.plan import (
    LEAST_CONTEXT,
    WEIGHT_ITEMS,
    MemoryPlan,
    ProcessOverhead,
    fits,
    longest_context,
    plan,
    require_context,
    with_length,
    with_precision,
)

LEAST_BATCH = 64  # a smaller batch saves almost nothing
ITEM_NAMES = {  # of the bill's lines, for people
    "weights": N_("Weights"),
    "pinned": N_("Weights in memory"),
    "slots": N_("Buffers for reading from the disk"),
    "experts": N_("Experts in memory"),
    "draft": N_("Draft model"),
    "embedding": N_("Embedding model"),
    "kv_cache": N_("Context"),
    "state": N_("Recurrent state and its checkpoints"),
    "compute": N_("Buffers for computing"),
    "output": N_("Buffer for the next word"),
    "runtime": N_("Engine"),
    "graphics": N_("Graphics: driver and buffers"),
    "window": N_("Window"),
    "reserve": N_("Reserve"),
}


@dataclass(frozen=True, slots=True)
class Advice:
    """The nearest settings that fit, a sentence that names them, and their bill.

    `text` is empty when the given settings fit; `bill` is None when nothing fits the budget.
    """

    settings: LoadSettings
    text: str
    bill: Bill | None = None


def advise(header: ModelHeader, settings: LoadSettings, overhead: ProcessOverhead) -> Advice:
    """The least painful change that makes the model fit.

    In this order: a smaller batch, the context in q8_0, a smaller context, the context in q4_0;
    then the same with weights read from the disk; else a larger budget, beside the least budget
    that all of these changes together need. An automatic context stays automatic.
    """
    if fits(header, settings, overhead):
        return Advice(settings, "", plan(header, settings, overhead).bill)
    swapping = settings.model_copy(update={"swap_enabled": True})
    ways = [settings] if settings.swap_enabled or header.legacy else [settings, swapping]
    for way in ways:
        for candidate in _concessions(header, way, overhead):
            if fits(header, candidate, overhead):
                bill = plan(header, candidate, overhead).bill
                changes = _changes_text(settings, candidate)
                return Advice(candidate, tr("It fits with {changes}.", changes=changes), bill)
    needed = ceil(plan(header, ways[-1], overhead).bill.total_mib)
    raised = ways[-1].model_copy(update={"memory_budget": needed})
    enough = in_sentence(needed, up=True)
    text = tr("It needs a memory budget of at least {needed}.", needed=enough)
    if raised.swap_enabled and not settings.swap_enabled:
        text = tr(
            "It has to run from the disk, with a memory budget of at least {needed}.",
            needed=enough,
        )
    *_, smallest = _concessions(header, ways[-1], overhead)
    smallest = with_length(smallest, min(smallest.context_length, LEAST_CONTEXT))
    least = ceil(plan(header, smallest, overhead).bill.total_mib)
    if least < needed:
        changes = _changes_text(raised, smallest)
        small = in_sentence(least, up=True)
        less = tr("With {changes} a budget of {least} is enough.", least=small, changes=changes)
        text = join_sentences((text, less))
    return Advice(raised, text)


def speed_text(bill: Bill) -> str:
    """A sentence on how fast a streamed model runs; empty where the drive's speed is unknown."""
    if not bill.disk_tok_s:
        return ""
    if bill.drafted_tok_s:
        both = tr(
            "Roughly {rate} tokens a second with the draft model and {plain} without, from a short "
            "test of this disk.",
            rate=f"{bill.drafted_tok_s:.1f}",
            plain=f"{bill.undrafted_tok_s:.1f}",
        )
        return join_sentences((both, lost_by_draft_text(bill)))
    return tr(
        "Roughly {rate} tokens a second, from a short test of this disk.",
        rate=f"{bill.disk_tok_s:.1f}",
    )


def lost_by_draft_text(bill: Bill) -> str:
    """A sentence where the memory of a draft model would bring more to the model's own weights."""
    if bill.drafted_tok_s >= bill.undrafted_tok_s:
        return ""
    return tr("Leave the draft model out: the model itself is faster with its memory.")


def experts_text(bill: Bill, wanted: CacheStrategy) -> str:
    """A sentence where a mixture's experts are kept in another way than the chosen one."""
    chosen = wanted in (CacheStrategy.AUTO, bill.experts_kept)
    if chosen or not bill.mib_of(BillItem.EXPERTS):
        return ""
    return tr("LFU is used: with memory for so few experts, LRU would never keep the right ones.")


def require_fit(
    header: ModelHeader, settings: LoadSettings, overhead: ProcessOverhead
) -> MemoryPlan:
    """The plan of a model that may be loaded.

    Raises ContextTooLarge beyond what the model was trained for, BudgetTooSmall with the advice.
    """
    require_context(header, settings)
    planned = plan(header, settings, overhead)
    refuse_misfit(planned.bill, header, settings, overhead)
    return planned


def refuse_misfit(
    bill: Bill, header: ModelHeader, settings: LoadSettings, overhead: ProcessOverhead
) -> None:
    """Raise BudgetTooSmall with the advice for a bill over its budget."""
    if bill.fits:
        return
    advice = advise(header, settings, overhead).text
    raise too_small(bill, settings.memory_budget, advice, short_name(header.name))


def too_small(bill: Bill, budget_mib: int, advice: str, model: str = "") -> BudgetTooSmall:
    """The error that this budget is too small for what the bill needs."""
    needed = ceil(bill.total_mib)
    weights = round(bill.mib_of(*WEIGHT_ITEMS))
    context = round(bill.mib_of(BillItem.KV_CACHE, BillItem.STATE))
    return BudgetTooSmall(
        model=model or tr("This model"),
        needed_mib=needed,
        budget_mib=budget_mib,
        weights_mib=weights,
        kv_mib=context,
        rest_mib=needed - weights - context,
        advice=advice,
    )


def _concessions(
    header: ModelHeader, settings: LoadSettings, overhead: ProcessOverhead
) -> Iterator[LoadSettings]:
    """Settings that need less memory, the least painful first. Not all of them fit."""

    yield from _batches(settings)
    smallest = settings
    present = with_precision(settings, slow_f16=overhead.slow_f16, header=header).kv_type
    for kv_type in (KVType.Q8_0, KVType.Q4_0):
        if _width(kv_type) < _width(present) and cost_model.heads_in_blocks(header):
            narrower = settings.model_copy(update={"kv_type": kv_type})
            yield from _batches(narrower)
            smallest = narrower
        *_, smallest = _batches(smallest)
        shorter = _largest_context(header, smallest, overhead) if smallest.context_length else None
        if shorter is not None:
            yield shorter


def _batches(settings: LoadSettings) -> Iterator[LoadSettings]:
    """The settings, then with smaller and smaller batches."""
    yield settings
    batch = settings.micro_batch // 2
    while batch >= LEAST_BATCH:
        yield settings.model_copy(update={"micro_batch": batch})
        batch //= 2


def _width(kv_type: KVType) -> int:
    return list(reversed(KVType)).index(kv_type)


def _largest_context(
    header: ModelHeader, settings: LoadSettings, overhead: ProcessOverhead
) -> LoadSettings | None:
    """The settings with the longest shorter context that fits; None where none does."""

    def allowed(length: int) -> bool:
        return fits(header, with_length(settings, length), overhead)

    if settings.context_length <= LEAST_CONTEXT or not allowed(LEAST_CONTEXT):
        return None
    length = longest_context(allowed, LEAST_CONTEXT, settings.context_length)
    return with_length(settings, length)


_CHANGES = {
    "micro_batch": N_("a batch of {value}"),
    "kv_type": N_("a context precision of {value}"),
    "context_length": N_("a context of {value} tokens"),
    "swap_enabled": N_("weights read from the disk"),
}


def _changes_text(asked: LoadSettings, fits: LoadSettings) -> str:
    changes = []
    for key, text in _CHANGES.items():
        value = getattr(fits, key)
        if value != getattr(asked, key):
            changes.append(tr(text, value=f"{value:,}" if isinstance(value, int) else value))
    return join_list(changes)
