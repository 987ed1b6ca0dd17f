"""Formats sizes and bills for people."""

import re

from deepseek_r1.core.events import Bill, BillItem
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.units import format_mib, format_part, format_size

BREAK = "\u200b"  # zero-width: a line may be broken there
_HOST = re.compile(r"\w+://[^/]*")
_PIECE = re.compile(r"/|[^/-]{12}(?=[^/-])")


def format_parameters(count: int) -> str:
    """The number of a model's weights, as models are named by it: 135M, 7.6B."""
    number = f"{count / 1e9:.1f}B" if count >= 1e9 else f"{count / 1e6:.0f}M"
    return tr("{number} parameters", number=number)


def breakable_address(address: str) -> str:
    """An address with places to break a line: after slashes and inside long names.

    The host stays in one piece: people read it to know where a file comes from.
    """
    host = _HOST.match(address)
    start = host.end() if host else 0
    return address[:start] + _PIECE.sub(rf"\g<0>{BREAK}", address[start:])


def format_download(size_bytes: int, free_bytes: int | None) -> str:
    """The size of a download, and the free space where it is known."""
    size = format_size(size_bytes)
    if free_bytes is None:
        return tr("{size} to download", size=size)
    return tr(
        "{size} to download, {free} free on the drive", size=size, free=format_size(free_bytes)
    )


def format_bill_summary(bill: Bill) -> str:
    """The bill in one line."""
    parts = {line.name: line.planned_mib for line in bill.lines}
    split = parts.get(BillItem.PINNED, 0.0) + parts.get(BillItem.SLOTS, 0.0)
    weights = parts.get(BillItem.WEIGHTS, split)
    rest = bill.total_mib - weights - parts[BillItem.KV_CACHE]
    return tr(
        "Memory: {part} (weights {weights}, context {context}, the rest {rest})",
        part=format_part(bill.total_mib, bill.budget_mib),
        weights=format_mib(weights),
        context=format_mib(parts[BillItem.KV_CACHE]),
        rest=format_mib(rest),
    )
