"""Plain sentences on what the budget, the disk, the context and the bill mean for a model."""

from enum import StrEnum

from deepseek_r1.core.events import Bill, BillItem
from deepseek_r1.core.i18n import N_, join_sentences, tr
from deepseek_r1.core.settings import KVType, LoadSettings
from deepseek_r1.core.units import format_mib, format_part
from deepseek_r1.hardware import converts_f16_slowly
from deepseek_r1.memory.advice import ITEM_NAMES, experts_text, lost_by_draft_text
from deepseek_r1.memory.plan import AUTOMATIC_SHARE, AUTOMATIC_SPARE, with_precision

MORE_MIB = 256.0  # one step of the budget's slider


class BillPart(StrEnum):
    """The three parts that the bar shows, with their names."""

    MODEL = N_("Model")
    CONVERSATION = N_("Context")
    APPLICATION = N_("R1 Desk")


_PARTS = {
    BillItem.WEIGHTS: BillPart.MODEL,
    BillItem.PINNED: BillPart.MODEL,
    BillItem.SLOTS: BillPart.MODEL,
    BillItem.EXPERTS: BillPart.MODEL,
    BillItem.DRAFT: BillPart.MODEL,
    BillItem.EMBEDDING: BillPart.MODEL,
    BillItem.KV_CACHE: BillPart.CONVERSATION,
    BillItem.STATE: BillPart.CONVERSATION,
}

_CONTEXT_SIZES = {
    KVType.F16: N_("{memory} (full precision)"),
    KVType.Q8_0: N_("{memory} (half precision)"),
    KVType.Q4_0: N_("{memory} (quarter precision)"),
}


def bill_parts(bill: Bill) -> dict[BillPart, float]:
    """The planned MiB of the three parts, in their order."""
    sums = dict.fromkeys(BillPart, 0.0)
    for line in bill.lines:
        sums[part_of(line.name)] += line.planned_mib
    return sums


def part_of(line: BillItem) -> BillPart:
    """The part that a line belongs to."""
    return _PARTS.get(line, BillPart.APPLICATION)


def bill_total(bill: Bill) -> str:
    """The total beside the budget."""
    return format_part(bill.total_mib, bill.budget_mib)


def bill_summary(bill: Bill) -> str:
    """The bill as a sentence for a screen reader."""
    lines = (f"{tr(ITEM_NAMES[line.name])} {format_mib(line.planned_mib)}" for line in bill.lines)
    return f"{bill_total(bill)}: {', '.join(lines)}"


def format_budget_hint(bill: Bill, trained: int = 0) -> str:
    """The unused part of the budget; for a model that runs from the disk, the gain of one step.

    `trained` is the longest context of the model, where that is automatic: after a larger budget
    was given a reload may make it twice as long, or more.
    """
    free = bill.budget_mib - bill.total_mib
    if free < 0:
        return tr("Needs {memory} more.", memory=format_mib(-free, up=True))
    if not bill.streams or not bill.disk_tok_s:
        unused, more_mib = format_mib(free), bill.mib_of(BillItem.KV_CACHE)
        allowed = 2 * more_mib <= bill.budget_mib * AUTOMATIC_SHARE
        fits = more_mib <= free - bill.budget_mib * AUTOMATIC_SPARE
        if 0 < 2 * bill.context_length <= trained and allowed and fits:
            return tr("{memory} unused · a reload makes the context longer", memory=unused)
        return tr("{memory} unused", memory=unused)
    left, more = bill.short_streamed_mib - MORE_MIB, format_mib(MORE_MIB)
    if left <= 0:
        return tr("With {memory} more the whole model fits in memory.", memory=more)
    return tr(
        "With {memory} more: {rate:.1f} tok/s instead of {now:.1f}",
        memory=more,
        rate=bill.tok_s_reading(left),
        now=bill.disk_tok_s,
    )


def format_disk_hint(bill: Bill, settings: LoadSettings) -> str:
    """The cost of running from the disk; empty where the setting changes nothing."""
    if not bill.streams:
        if bill.fits and settings.swap_enabled:
            return tr("Not needed: the model fits in memory.")
        return ""
    kept = tr(
        "{held} of the model stay in memory, {few} are read for each token.",
        held=format_mib(bill.mib_of(BillItem.PINNED, BillItem.EXPERTS)),
        few=format_mib(bill.short_streamed_mib),
    )
    kept = join_sentences((kept, experts_text(bill, settings.cache_strategy)))
    if not bill.disk_tok_s:
        return kept
    return tr("About {rate:.1f} tok/s.", rate=bill.disk_tok_s) + " " + kept


def format_draft_hint(bill: Bill) -> str:
    """The memory of a draft model and what it brings; empty without one."""
    mib = bill.mib_of(BillItem.DRAFT)
    if mib:
        size = tr("The draft model takes {memory}.", memory=format_mib(mib))
        if not bill.drafted_tok_s:
            return size
        gain = tr(
            "About {rate:.1f} tok/s instead of {now:.1f}.",
            rate=bill.drafted_tok_s,
            now=bill.undrafted_tok_s,
        )
        return join_sentences((gain, size, lost_by_draft_text(bill)))
    return ""


def format_context_hint(bill: Bill, settings: LoadSettings) -> str:
    """The memory that the full context takes, and its length where that is automatic."""
    precision = with_precision(settings, slow_f16=converts_f16_slowly()).kv_type
    size = tr(_CONTEXT_SIZES[precision], memory=format_mib(bill.mib_of(BillItem.KV_CACHE)))
    if settings.context_length or not bill.context_length:
        return size
    return tr("Automatic: {n:,} tokens, {size}", n=bill.context_length, size=size)


def format_context_left(used: int, length: int, longest: int) -> str:
    """The used part of the context, and how many of the longest answers still fit."""
    if length <= 0:
        return tr("The chat is measured once a model is loaded.")
    answers = max(0, length - used) // max(1, longest)
    if answers == 0:
        text = N_("{used:,} of {length:,} tokens used · another long answer may not fit")
    else:
        text = N_("{used:,} of {length:,} tokens used · about {n} long answers left")
    return tr(text, used=used, length=length, n=answers)
