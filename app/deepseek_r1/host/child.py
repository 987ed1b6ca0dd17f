"""Starts the engine's process: `python -m deepseek_r1.host.child` or the bundle's `--engine-host`.

Standard input and output are the pipe to the owner.
"""

import contextlib
import os
import sys
from pathlib import Path
from typing import NoReturn

from deepseek_r1.core.heap import keep_heap_small
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.host.worker import Worker
from deepseek_r1.native.child_start import start_child

NICENESS = 5
LARGE_BYTES = 4 << 20  # a model's buffers; the logits of a token are smaller
OUT_OF_MEMORY_SCORE = "500"


def main() -> NoReturn:
    """Serve the owner until it exits; then the process ends itself."""
    keep_heap_small(LARGE_BYTES)
    child = start_child(ChildKind.ENGINE)
    _lower_priority()
    Worker(child.source, child.sink).run()


def _lower_priority() -> None:
    """Yield processor and memory to the user's programs.

    On Windows the owner starts the process with a lower priority already. A setting that the
    system forbids, in a container for instance, keeps its value.
    """
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            os.nice(NICENESS)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # when memory runs out, the window must survive
            Path("/proc/self/oom_score_adj").write_text(OUT_OF_MEMORY_SCORE, encoding="ascii")


if __name__ == "__main__":
    main()
