"""What the disk does for a model that runs from it, from one beat of the engine to the next."""

from __future__ import annotations

from dataclasses import dataclass

from deepseek_r1.core.events import WeightsStats
from deepseek_r1.core.words import tr


@dataclass(frozen=True, slots=True)
class Streaming:
    """Of the last beat. `wait_share` is the share of time that computing waited for the disk."""

    pinned_mib: float
    streamed_mib: float  # in each pass
    read_mib_s: float
    hit_rate: float
    wait_share: float


class StreamingPace:
    """Makes rates of counters that only grow."""

    def __init__(self) -> None:
        self._before: tuple[WeightsStats, float] | None = None

    def take(self, stats: WeightsStats | None, at_s: float) -> Streaming | None:
        """The rates between the beat before and this one; None for a model in memory."""
        before, self._before = self._before, None if stats is None else (stats, at_s)
        if stats is None:
            return None
        passed_s = at_s - before[1] if before is not None else 0.0
        if before is None or passed_s <= 0 or stats.read_mib < before[0].read_mib:  # another model
            return Streaming(stats.pinned_mib, stats.streamed_mib, 0.0, stats.hit_rate, 0.0)
        since = stats.since(before[0])
        idle = since.hits + since.misses == 0
        return Streaming(
            pinned_mib=stats.pinned_mib,
            streamed_mib=stats.streamed_mib,
            read_mib_s=since.read_mib / passed_s,
            hit_rate=stats.hit_rate if idle else since.hit_rate,
            wait_share=min(1.0, max(0.0, since.io_wait_s / passed_s)),
        )


def explained(streaming: Streaming) -> str:
    """All numbers, for the tooltip."""
    return tr(
        "Weights in memory: {pinned:,.0f} MiB\n"
        "Read in every pass: {streamed:,.0f} MiB, a token or a few of them\n"
        "Reading: {rate:,.0f} MiB a second\n"
        "Found in memory: {hits:.0%}\n"
        "Waiting for the disk: {wait:.0%} of the time",
        pinned=streaming.pinned_mib,
        streamed=streaming.streamed_mib,
        rate=streaming.read_mib_s,
        hits=streaming.hit_rate,
        wait=streaming.wait_share,
    )


def spoken(streaming: Streaming) -> str:
    """The same in short, for a screen reader."""
    return tr(
        "Reading {rate:,.0f} MiB a second from the disk, {hits:.0%} found in memory.",
        rate=streaming.read_mib_s,
        hits=streaming.hit_rate,
    )
