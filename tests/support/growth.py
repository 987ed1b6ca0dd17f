"""Inputs that grow: is the time of what reads them that of their length?"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable
from functools import partial

ENOUGH_S = 0.02  # that can be measured
MOST_EXPONENT = 1.5  # 1 is linear, and n log n not far from it
_ATTEMPTS = 3


def seconds(work: Callable[[], object], times: int = 1) -> float:
    """The least processor time of some runs in this thread: other programs count little in it.

    Python's collector rests: it would walk all that the process has, once for a long text and not
    for a short one.
    """
    best, collects = math.inf, gc.isenabled()
    gc.disable()
    try:
        for _ in range(times):
            began = time.thread_time()
            work()
            best = min(best, time.thread_time() - began)
    finally:
        if collects:
            gc.enable()
    return best


def exponent(work: Callable[[int], object], first: int, last: int) -> float:
    """The power of the length with which the time grows; 1.0 where even the last takes none.

    Lengths grow by four, so that nothing has to take long to be found.
    """
    length = first
    while (took := seconds(partial(work, length))) <= ENOUGH_S:
        if length * 4 > last:
            return 1.0
        length *= 4
    least = math.log(seconds(partial(work, length * 3)) / took, 3)
    for _ in range(_ATTEMPTS):  # another program may have had the processor meanwhile, and a
        if least < MOST_EXPONENT:  # square that is bounded is one no more in a longer text
            break
        length = max(length, min(2 * length, last // 3))
        took, longer = (seconds(partial(work, each), 2) for each in (length, length * 3))
        least = min(least, math.log(longer / took, 3))
    return least
