"""Sets how OpenMP's threads wait for each other, before the library is loaded.

OpenMP reads its environment once, when its library is loaded. The host starts the engine's process
with the right environment. A program that uses `CPUInference` itself gets it during the load,
unless it loaded OpenMP before (then its own choice stands) or has set a wait policy.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# How often an OpenMP thread spins before it sleeps, in turns of libgomp's waiting loop. Measured
# with two threads on two cores, the best of two or three runs, tokens/s.
# "busy" is beside one program that never rests, on a busy machine: only the order counts.
#
#                     135M idle  1.5B idle  135M busy
#     unset                 186       40.2          7
#     spin 1000             183       40.1         21
#     spin 300              182       36.6         50
#     passive                71       27.3         42
#
# libgomp's default, milliseconds of spinning, collapses as soon as another program needs a core.
# "passive" makes a system call at every operation of the graph. 1000 costs an idle machine 2 %.
SPIN_COUNT = "1000"


def wait_policy(environment: Mapping[str, str]) -> dict[str, str]:
    """Return variables to add to `environment`; none where it sets a wait policy already."""
    if "OMP_WAIT_POLICY" in environment or "GOMP_SPINCOUNT" in environment:
        return {}
    return {"GOMP_SPINCOUNT": SPIN_COUNT}


@contextmanager
def wait_policy_set() -> Iterator[None]:
    """Add the variables to this process's environment during the block."""
    added = wait_policy(os.environ)
    os.environ.update(added)
    try:
        yield
    finally:
        for key in added:
            os.environ.pop(key, None)
