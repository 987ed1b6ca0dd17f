"""Disk rates of a model that runs from the disk, between two heartbeats of the engine."""

from __future__ import annotations

from dataclasses import dataclass

from deepseek_r1.core.events import WeightsStats
from deepseek_r1.core.i18n import tr


@dataclass(frozen=True, slots=True)
class StreamingRates:
    """Rates since the last heartbeat. `wait_share` is the part of the time spent on disk waits."""

    pinned_mib: float
    streamed_mib: float  # in each pass
    read_mib_s: float
    hit_rate: float
    wait_share: float


class StreamingRateMeter:
    """Turns counters that only grow into rates."""

    def __init__(self) -> None:
        self._before: tuple[WeightsStats, float] | None = None

    def update(self, stats: WeightsStats | None, at_s: float) -> StreamingRates | None:
        """Return the rates since the previous call; None for a model in memory."""
        before, self._before = self._before, None if stats is None else (stats, at_s)
        if stats is None:
            return None
        passed_s = at_s - before[1] if before is not None else 0.0
        if before is None or passed_s <= 0 or stats.read_mib < before[0].read_mib:  # another model
            return StreamingRates(stats.pinned_mib, stats.streamed_mib, 0.0, stats.hit_rate, 0.0)
        since = stats.since(before[0])
        idle = since.hits + since.misses == 0
        return StreamingRates(
            pinned_mib=stats.pinned_mib,
            streamed_mib=stats.streamed_mib,
            read_mib_s=since.read_mib / passed_s,
            hit_rate=stats.hit_rate if idle else since.hit_rate,
            wait_share=min(1.0, max(0.0, since.io_wait_s / passed_s)),
        )


def rates_tooltip(rates: StreamingRates) -> str:
    """All numbers, one a line."""
    return tr(
        "Weights in memory: {pinned:,.0f} MiB\n"
        "Read in every pass: {streamed:,.0f} MiB, a token or a few of them\n"
        "Reading: {rate:,.0f} MiB a second\n"
        "Found in memory: {hits:.0%}\n"
        "Waiting for the disk: {wait:.0%} of the time",
        pinned=rates.pinned_mib,
        streamed=rates.streamed_mib,
        rate=rates.read_mib_s,
        hits=rates.hit_rate,
        wait=rates.wait_share,
    )


def rates_summary(rates: StreamingRates) -> str:
    """One sentence for a screen reader."""
    return tr(
        "Reading {rate:,.0f} MiB a second from the disk, {hits:.0%} found in memory.",
        rate=rates.read_mib_s,
        hits=rates.hit_rate,
    )
