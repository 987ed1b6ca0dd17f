"""Ways to go on where the context is full, as they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ContextWay(StrEnum):
    """A way to go on."""

    FITS = "fits"  # the context is longer by now
    LONGER = "longer"  # a longer context
    LEAVE_OUT = "leave_out"  # the model reads from a later message on
    SUMMARY = "summary"  # a new branch that begins with a summary
    ANYWAY = "anyway"  # less than the reserve is left for the answer


@dataclass(frozen=True, slots=True)
class ContextOption:
    """One way: what it does and what it costs. `possible`: False where it cannot be taken."""

    way: ContextWay
    title: str
    price: str
    possible: bool = True


@dataclass(frozen=True, slots=True)
class ContextOptions:
    """All ways to go on below a message; none while they are being worked out."""

    message_id: int
    heading: str
    options: tuple[ContextOption, ...] = ()
