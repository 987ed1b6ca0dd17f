"""A count of cores, for the systems that give counts and no map."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CoreCounts:
    """Cores of the machine; `performance` are the fast ones of `physical`."""

    physical: int
    logical: int
    performance: int
