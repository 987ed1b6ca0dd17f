"""The child process that sets formulas: one line of JSON in, one line out, until its input ends.

Imported without Qt and started on the first formula. What models write is foreign: a formula that
makes the typesetter hang, grow or crash costs this process and no other.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from typing import BinaryIO, Final

from deepseek_r1.core.heap import trim_heap
from deepseek_r1.core.process_lock import lock_without_files
from deepseek_r1.core.processes import ChildKind
from r1desk.chat.formulas.latex import CannotTypeset, typeset

_LARGE_REQUEST: Final = 1_000  # bytes
_MAX_MEMORY: Final = 512 << 20  # bytes of address space; some 20 MiB of it are resident


def main() -> int:
    """Answer requests until standard input ends; returns the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the window
    _limit_memory()
    lock_without_files(ChildKind.FORMULAS.value.lock)
    source, sink = _pipes()
    for line in source:
        sink.write(json.dumps(_reply(json.loads(line))).encode() + b"\n")
        sink.flush()
        if len(line) > _LARGE_REQUEST:
            trim_heap()  # a later formula must not find this one's memory on the bill
    return 0


def _pipes() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output; `sys` has none of them in a program without a console."""
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415 - Windows only

        for descriptor in (0, 1):
            msvcrt.setmode(descriptor, os.O_BINARY)
    return os.fdopen(0, "rb", closefd=False), os.fdopen(1, "wb", closefd=False)


def _reply(request: dict[str, object]) -> dict[str, object]:
    number = request["number"]
    try:
        layout = typeset(
            str(request["source"]),
            display=bool(request["display"]),
            language=str(request["language"]),
        )
    except CannotTypeset as error:
        return {"number": number, "problem": str(error)[:500]}
    return {"number": number, "layout": layout}


def _limit_memory() -> None:
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - not on Windows

        for kind, limit in ((resource.RLIMIT_AS, _MAX_MEMORY), (resource.RLIMIT_CORE, 0)):
            with contextlib.suppress(OSError, ValueError):  # a system may forbid it
                resource.setrlimit(kind, (limit, limit))


if __name__ == "__main__":
    sys.exit(main())
