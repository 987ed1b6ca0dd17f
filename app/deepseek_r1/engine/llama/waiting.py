"""How the computing threads wait for each other: told to OpenMP before it is loaded.

OpenMP's library reads its environment once, when it comes into the process. The host starts the
engine's process with the right one; a program that uses `CPUInference` itself gets it for the
moment of the load, unless it has brought OpenMP along before (then its own choice stands) or has
chosen a way of waiting.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# How long an OpenMP thread spins before it sleeps, in turns of libgomp's waiting loop. Measured by
# tests/host/measure_spin.py, two threads on two cores, the best of two or three runs, tokens/s.
# "busy" is beside one program that never rests, on a machine with other work: read it as an order.
#
#                     135M idle  1.5B idle  135M busy
#     as it comes           186       40.2          7
#     spin 1000             183       40.1         21
#     spin 300              182       36.6         50
#     passive                71       27.3         42
#
# libgomp's own choice, milliseconds of spinning, collapses as soon as another program wants a core;
# "passive" pays a system call at every operation of the graph. 1000 costs an idle machine 2 %.
SPIN_COUNT = "1000"


def waits(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables to add to `environment`; none where it says how to wait."""
    if "OMP_WAIT_POLICY" in environment or "GOMP_SPINCOUNT" in environment:
        return {}
    return {"GOMP_SPINCOUNT": SPIN_COUNT}


@contextmanager
def waits_set() -> Iterator[None]:
    """This process's environment has the variables for a moment."""
    added = waits(os.environ)
    os.environ.update(added)
    try:
        yield
    finally:
        for key in added:
            os.environ.pop(key, None)
