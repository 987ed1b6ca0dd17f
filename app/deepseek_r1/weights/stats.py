"""What streaming did and costs, as a value."""

from __future__ import annotations

from dataclasses import dataclass

from deepseek_r1.core.settings import CacheStrategy


@dataclass(frozen=True, slots=True)
class WeightsStats:
    """What streaming costs. Counters run since the load; MiB and seconds."""

    pinned_mib: float  # in memory now, or on their way there
    arriving_mib: float  # of them: on their way
    slots_mib: float
    slots_filled_mib: float  # of them: in memory already
    streamed_mib: float  # read in each pass; of experts as if they were chosen at random
    read_mib: float  # since the load, the load's own reads left out
    io_wait_s: float  # the computation waited so long for the disk
    hits: int  # uses of a matrix, or of one expert, that was in memory
    misses: int  # uses of one that had to be read
    passes: int
    direct: bool  # reads pass by the page cache
    strategy: CacheStrategy = CacheStrategy.PINNED  # what is done, never `auto`
    experts_mib: float = 0.0  # in memory now
    expert_hits: int = 0  # of `hits`
    expert_misses: int = 0
    told_apart: bool = True  # False where a mixture's experts have to be read all together
