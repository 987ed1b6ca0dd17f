"""Starts the engine's process: `python -m deepseek_r1.host.child` or the bundle's `--engine-host`.

Standard input and output are the pipe to the owner. Native libraries print to them without asking,
so private copies of both are made first and standard output is redirected to standard error.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

from deepseek_r1.core import log
from deepseek_r1.core.heap import keep_heap_small
from deepseek_r1.core.i18n import use_language
from deepseek_r1.core.private_pipes import private_pipes
from deepseek_r1.hardware.process_lock import lock_process
from deepseek_r1.host.worker import Worker
from deepseek_r1.native.owner_watch import end_with_owner

NICENESS = 5
LARGE_BYTES = 4 << 20  # a model's buffers; the logits of a token are smaller
OUT_OF_MEMORY_SCORE = "500"


def main() -> NoReturn:
    """Serve the owner until it exits; then the process ends itself."""
    source, sink = private_pipes()
    keep_heap_small(LARGE_BYTES)
    missing = lock_process()  # before the first thread
    end_with_owner(source)
    faulthandler.enable()
    use_language(os.environ.get("R1DESK_LANGUAGE", "en"))
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(message)s")
    _lower_priority()
    if missing:
        log.host.info("the engine's process is not locked: %s", ", ".join(missing))
    Worker(os.fdopen(source, "rb", buffering=0), os.fdopen(sink, "wb", buffering=0)).run()


def _lower_priority() -> None:
    """Leave Ctrl-C to the owner, and yield processor and memory to the user's programs.

    On Windows the owner starts the process with a lower priority already. A setting that the
    system forbids, in a container for instance, keeps its value.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - not on Windows

        with contextlib.suppress(OSError, ValueError):
            os.nice(NICENESS)
        with contextlib.suppress(
            OSError, ValueError
        ):  # a core file would hold gigabytes, and private text
            resource.setrlimit(
                resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1])
            )
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # when memory runs out, the window must survive
            Path("/proc/self/oom_score_adj").write_text(OUT_OF_MEMORY_SCORE, encoding="ascii")


if __name__ == "__main__":
    main()
