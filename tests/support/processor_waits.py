"""Time in which a thread could run and the machine gave it no processor."""

from __future__ import annotations

import threading
from pathlib import Path


def processor_wait_s() -> float:
    """Seconds that the calling thread has waited in the scheduler's queue; 0 if not counted.

    A test of a thread's promptness subtracts what is added meanwhile: on a shared machine, of a gap
    of 333 ms in the main thread 7 ms were its own work and 323 ms were waits.
    """
    try:  # proc(5): the time on a processor, the time in the queue, the number of turns
        counters = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat").read_text()
    except FileNotFoundError:
        return 0.0
    return int(counters.split()[1]) / 1e9
