"""The engine's process: `python -m deepseek_r1.host.child`, or the bundle with `--engine-host`.

Its standard input and output are the pipe to its owner. Native libraries print where they like, so
private copies of both are taken first and standard output is bent to standard error.
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

from deepseek_r1.core.words import use_language
from deepseek_r1.host.worker import Worker

NICENESS = 5
OUT_OF_MEMORY_SCORE = "500"


def main() -> NoReturn:
    """Serve the owner until it is gone; then the process ends itself."""
    source, sink = _take_pipes()
    faulthandler.enable()
    use_language(os.environ.get("R1DESK_LANGUAGE", "en"))
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(message)s")
    _step_back()
    Worker(os.fdopen(source, "rb", buffering=0), os.fdopen(sink, "wb", buffering=0)).run()


def _take_pipes() -> tuple[int, int]:
    """Private descriptors of standard input and output, which nothing else can touch then."""
    source, sink = os.dup(0), os.dup(1)
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415 - Windows only

        msvcrt.setmode(source, os.O_BINARY)
        msvcrt.setmode(sink, os.O_BINARY)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return source, sink


def _step_back() -> None:
    """Leave Ctrl-C to the owner, and processor and memory to whatever the user is doing.

    On Windows the owner starts the process with a lower priority already. What the system forbids,
    in a container for instance, is left as it is.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - not on Windows

        with contextlib.suppress(OSError, ValueError):
            os.nice(NICENESS)
        with contextlib.suppress(OSError, ValueError):  # gigabytes, and people's words in them
            resource.setrlimit(
                resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1])
            )
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # if memory runs out, the window shall not be the one
            Path("/proc/self/oom_score_adj").write_text(OUT_OF_MEMORY_SCORE, encoding="ascii")


if __name__ == "__main__":
    main()
