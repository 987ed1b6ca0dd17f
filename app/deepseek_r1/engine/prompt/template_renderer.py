"""The process that renders chat templates: `python -m deepseek_r1.engine.prompt.template_renderer`.

A template can keep one call of C busy for hours, where no check written in Python is reached. So
the system itself limits this process: its memory, and the processor's time of each request, after
which it is killed. It is also killed when its owner exits in the middle of a request.

A request is `{"source", "calls", "language"}`, its reply a list of `[outcome, text]`.
Only the standard library and Jinja are imported here: the process is part of the memory budget.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO

from deepseek_r1.core.i18n import use_language
from deepseek_r1.core.process_lock import lock_without_files
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.engine.prompt.template_frames import (
    LENGTH,
    OUT_OF_MEMORY_EXIT,
    OWNER_PIPE,
    RenderOutcome,
    encoded,
)
from deepseek_r1.engine.prompt.template_rendering import OUT_OF_MEMORY_ERRORS, render_calls

MEMORY_BYTES = 64 << 20  # that a template may use beyond the process's own
CONTENT_BYTES = 64  # and for each byte of the request: texts of four bytes a character, copied
CPU_SECONDS = 2.5  # of one request


def main() -> None:
    """Serve requests until the owner closes the pipe."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a stray print must not reach the owner as a frame
    if sys.platform != "win32":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    owner_pipe = int(os.environ.get(OWNER_PIPE, "-1"))
    lock_without_files(ChildKind.TEMPLATES.value.lock)
    gc.freeze()
    try:
        _serve(source, sink, owner_pipe)
    except OUT_OF_MEMORY_ERRORS:  # the next request gets a new process with all of its memory
        os._exit(OUT_OF_MEMORY_EXIT)
    os._exit(0)


def _serve(source: BinaryIO, sink: BinaryIO, owner_pipe: int) -> None:
    own_bytes, language = _address_space_bytes(), ""
    with contextlib.suppress(BrokenPipeError):
        while (body := _read(source)) is not None:
            _limit_memory(own_bytes, len(body))
            request = json.loads(body)
            if request["language"] != language:
                language = use_language(request["language"])
            with _limited(owner_pipe):
                results = render_calls(request["source"], request["calls"])
            _write(sink, results)
            if any(outcome != RenderOutcome.TEXT for outcome, _text in results):
                gc.collect()  # what a template has filled is in cycles with its exception's frames


class _limited:  # noqa: N801 - a context manager, named as its use reads
    """Lets the system kill this process after `CPU_SECONDS`, and when its owner exits.

    The owner holds the other end of a pipe through which nothing is sent, so SIGIO can mean only
    that it was closed. The pipes of requests and replies will not do: the system also sends SIGIO
    for bytes that were read already and, in some versions of Linux, when the other side begins to
    read. The default action of both signals ends the process at once, whatever its interpreter
    does. Windows has neither: the owner's own deadline and job object replace them.
    """

    def __init__(self, owner_pipe: int) -> None:
        self._descriptor = owner_pipe

    def __enter__(self) -> None:
        if sys.platform != "win32":
            signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
            _signal_at_end(self._descriptor, on=True)

    def __exit__(self, *_: object) -> None:
        if sys.platform != "win32":
            _signal_at_end(self._descriptor, on=False)
            signal.setitimer(signal.ITIMER_PROF, 0.0)


def _signal_at_end(descriptor: int, *, on: bool) -> None:
    """Ask for SIGIO when the other end of the pipe is closed."""
    if sys.platform == "win32":
        return
    import fcntl  # noqa: PLC0415 - not on Windows

    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    if on:
        fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC if on else flags & ~os.O_ASYNC)


def _address_space_bytes() -> int:
    """The size of this process's address space; 0 where its limit is not set here."""
    if sys.platform != "linux":  # macOS does not enforce it; Windows has the owner's job object
        return 0
    import resource  # noqa: PLC0415 - not on Windows

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()


def _limit_memory(own_bytes: int, request_bytes: int) -> None:
    """Limit the address space to the process's own, and what a request of this length may need.

    Its own is that of the start: what an earlier template has left would be allowed again.
    """
    if not own_bytes:
        return
    import resource  # noqa: PLC0415 - not on Windows

    most = own_bytes + MEMORY_BYTES + CONTENT_BYTES * request_bytes
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(
        resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard)
    )


def _read(source: BinaryIO) -> bytes | None:
    head = source.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (size,) = LENGTH.unpack(head)
    body = source.read(size)
    return body if len(body) == size else None


def _write(sink: BinaryIO, value: Any) -> None:
    body = encoded(value)
    sink.write(LENGTH.pack(len(body)) + body)
    sink.flush()


if __name__ == "__main__":
    main()
