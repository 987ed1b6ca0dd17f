"""Counts of cores, for the systems that give counts instead of a topology."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CoreCounts:
    """The numbers of cores; `performance` counts the fast ones among `physical`."""

    physical: int
    logical: int
    performance: int
