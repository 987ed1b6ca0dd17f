"""What the budget and the swap to disk mean for a model, in a line each."""

from __future__ import annotations

from deepseek_r1.core.events import Bill
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.core.words import tr
from deepseek_r1.memory.plan import speed_text
from r1desk.performance.bill_view import line_mib

MORE_MIB = 256.0  # one step of the budget's slider


def budget_words(bill: Bill) -> str:
    """What stays free; for a model that runs from the disk, what one more step would buy."""
    free = bill.budget_mib - bill.total_mib
    if free < 0:
        return tr("{n:,.0f} MiB too little", n=-free)
    if not bill.streams or not bill.disk_tok_s:
        return tr("{n:,.0f} MiB stay free", n=free)
    left = bill.short_streamed_mib - MORE_MIB
    if left <= 0:
        return tr("{n:,.0f} MiB more hold the model in memory", n=MORE_MIB)
    return tr(
        "{n:,.0f} MiB more allow {rate:.1f} instead of {now:.1f} tokens a second",
        n=MORE_MIB,
        rate=bill.tok_s_reading(left),
        now=bill.disk_tok_s,
    )


def swap_words(bill: Bill, settings: LoadSettings) -> str:
    """What the swap to disk does for this bill."""
    if not bill.streams:
        if bill.fits and settings.swap_enabled:
            return tr("Not needed: the model fits into the budget.")
        return ""
    held = tr(
        "{held:,.0f} MiB of the weights stay in memory, {few:,.0f} MiB are read for every token, "
        "in a long conversation {most:,.0f}.",
        held=line_mib(bill, "pinned"),
        few=bill.short_streamed_mib,
        most=bill.streamed_mib,
    )
    return f"{held} {speed_text(bill)}".rstrip()
