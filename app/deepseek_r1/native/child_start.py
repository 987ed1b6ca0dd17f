"""The first and the last steps of a child process, the same for every kind."""

import ctypes
import faulthandler
import logging
import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from pydantic import BaseModel, TypeAdapter

from deepseek_r1.core import frames, log
from deepseek_r1.core.child_call import ChildFailure
from deepseek_r1.core.errors import EngineStartFailed, R1Error
from deepseek_r1.core.frames import private_pipes
from deepseek_r1.core.i18n import use_language
from deepseek_r1.core.process_lock import lock_process
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.native.native_library import native

_PR_SET_PDEATHSIG = 1


class Child(NamedTuple):
    """The pipes to the owner, and the parts of the lock that this system does not have."""

    source: FileIO
    sink: FileIO
    not_locked: tuple[str, ...]

    def send(self, message: BaseModel) -> None:
        """Write a message. Raises FrameTooLong."""
        frames.write(self.sink, frames.pack(message, frames.FROM_CHILD_CAP))


def start_child(kind: ChildKind) -> Child:
    """Make this process a child of `kind`: locked, and ended with its owner.

    Call it before the first thread is started, and before anything is printed.
    """
    pipe_in, pipe_out = private_pipes()
    program = kind.value
    missing = lock_process(program.lock)
    end_with_owner(pipe_in, thread_lasts=program.own_threads)
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the owner's
    use_language(os.environ.get("R1DESK_LANGUAGE", "en"))
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(message)s")
    if missing:
        log.host.info("the process is not locked: %s", ", ".join(missing))
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - not on Windows

        # A core file would hold gigabytes, and private text. Where the system forbids the setting,
        # in a container for instance, its own stays.
        with suppress(OSError, ValueError):
            resource.setrlimit(
                resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1])
            )
    if program.memory_mib:
        limit_memory(program.memory_mib << 20)
    return Child(FileIO(pipe_in, "rb"), FileIO(pipe_out, "wb"), missing)


def serve(
    child: Child,
    requests: TypeAdapter[Any],
    answer: Callable[[Any], BaseModel],
    failure: Callable[[Any, Exception], R1Error],
) -> NoReturn:
    """Answer each request until the owner closes the pipe, then end the process.

    `failure` makes an error of ours from any other exception, for the owner.
    """
    while (body := frames.read(child.source, frames.TO_CHILD_CAP)) is not None:
        request = frames.parse(body, requests)
        try:
            child.send(answer(request))
        except Exception as error:  # noqa: BLE001 - reported to the owner
            reported = error if isinstance(error, R1Error) else failure(request, error)
            child.send(ChildFailure(report=reported.report()))
    os._exit(0)


def end_with_owner(pipe: int, *, thread_lasts: bool = True) -> None:
    """Let the system end this process with its parent, even by a kill and in the middle of work.

    The owner closes a pipe when it ends, and a thread of ours reads from it. But a long call of C
    that holds the interpreter's lock keeps that thread waiting, so two means that need no
    interpreter are added: the parent-death signal on Linux (the job object on Windows is the
    owner's, see `core.child_process`), and a thread of the native library. `pipe` is the descriptor
    of the parent's end to read from.

    `thread_lasts`: the parent's thread that started this process lasts as long as the process is
    wanted. Linux sends its signal when that thread ends, so otherwise it is not asked for.
    """
    owner = os.getppid()
    if sys.platform == "linux" and thread_lasts:
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0):
            log.host.warning("no parent-death signal: %s", os.strerror(ctypes.get_errno()))
        if _at_end(pipe):  # the parent ended before the signal was set
            os._exit(0)
    try:
        if native().watch_owner(pipe, owner):
            log.host.warning("the native library does not watch the owner's process")
    except EngineStartFailed as error:
        log.host.warning("the native library does not watch the owner's process: %s", error)


def _at_end(pipe: int) -> bool:
    """Return whether the other end of the pipe is closed and nothing is left to read."""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    return any(event & select.POLLHUP and not event & select.POLLIN for _, event in poll.poll(0))


def limit_memory(more_bytes: int) -> None:
    """Take at most so much more, in addresses; nothing happens outside Linux."""
    if sys.platform != "linux":
        return
    import resource  # noqa: PLC0415 - not on Windows

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + more_bytes
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(
        resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard)
    )
