"""The lines of a memory bill, grouped and named for people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from deepseek_r1.core.events import Bill
from deepseek_r1.core.i18n import N_, tr

LINE_LABELS = {
    "weights": N_("Weights"),
    "pinned": N_("Weights in memory"),
    "slots": N_("Buffers for reading from the disk"),
    "experts": N_("Experts in memory"),
    "draft": N_("Draft model"),
    "kv_cache": N_("Context"),
    "compute": N_("Buffers for computing"),
    "output": N_("Buffer for the next word"),
    "runtime": N_("Engine"),
    "window": N_("Window"),
    "reserve": N_("Reserve"),
}


class BillPart(StrEnum):
    """The three parts that the bar shows."""

    MODEL = "model"
    CONVERSATION = "conversation"
    APPLICATION = "application"


_PARTS = {
    "weights": BillPart.MODEL,
    "pinned": BillPart.MODEL,
    "slots": BillPart.MODEL,
    "experts": BillPart.MODEL,
    "draft": BillPart.MODEL,
    "kv_cache": BillPart.CONVERSATION,
}


@dataclass(frozen=True, slots=True)
class PartSum:
    """One part of the bill: planned, and measured where every line of it was measured."""

    part: BillPart
    planned_mib: float
    measured_mib: float | None


def bill_parts(bill: Bill) -> tuple[PartSum, ...]:
    """The bill in three sums, in the order of `BillPart`. Unknown lines are the application's."""
    sums = []
    for part in BillPart:
        lines = [line for line in bill.lines if part_of(line.name) is part]
        measured = [line.measured_mib for line in lines]
        known = [mib for mib in measured if mib is not None]
        sums.append(
            PartSum(
                part,
                sum(line.planned_mib for line in lines),
                sum(known) if known and len(known) == len(measured) else None,
            )
        )
    return tuple(sums)


def part_of(line_name: str) -> BillPart:
    """The part that a line belongs to."""
    return _PARTS.get(line_name, BillPart.APPLICATION)


def part_label(part: BillPart) -> str:
    """A part's name for people."""
    return {
        BillPart.MODEL: tr("Model"),
        BillPart.CONVERSATION: tr("Conversation"),
        BillPart.APPLICATION: tr("Application"),
    }[part]


def line_label(name: str) -> str:
    """A bill line's name for people."""
    return tr(LINE_LABELS[name]) if name in LINE_LABELS else name


def line_mib(bill: Bill, *names: str) -> float:
    """The planned sum of the lines `names`."""
    return sum(line.planned_mib for line in bill.lines if line.name in names)


def bill_summary(bill: Bill) -> str:
    """The bill as a sentence for a screen reader."""
    lines = ", ".join(f"{line_label(line.name)} {line.planned_mib:,.0f} MiB" for line in bill.lines)
    total = tr("{total:,.0f} of {budget:,.0f} MiB", total=bill.total_mib, budget=bill.budget_mib)
    return f"{total}: {lines}"
