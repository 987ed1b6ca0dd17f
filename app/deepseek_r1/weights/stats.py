"""What streaming did and costs, as a value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WeightsStats:
    """What streaming costs. Counters run since the load; MiB and seconds."""

    pinned_mib: float  # in memory now
    slots_mib: float
    streamed_mib: float  # read in each pass
    read_mib: float  # since the load, the load's own reads left out
    io_wait_s: float  # the computation waited so long for the disk
    hits: int  # uses of a matrix that was in memory
    misses: int  # uses of one that had to be read
    passes: int
    direct: bool  # reads pass by the page cache
