"""Keeps the pipes to the owner for frames alone, whatever a library prints."""

from __future__ import annotations

import os
import sys


def private_pipes() -> tuple[int, int]:
    """Private descriptors of standard input and output, which nothing else uses afterwards."""
    source, sink = os.dup(0), os.dup(1)
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415 - Windows only

        msvcrt.setmode(source, os.O_BINARY)
        msvcrt.setmode(sink, os.O_BINARY)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return source, sink
