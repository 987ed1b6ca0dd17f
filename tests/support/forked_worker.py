"""Forks the processes of the engine for old files from one that has its libraries loaded.

    with forked_workers() as workers:
        with CPUInference("old.bin") as model: ...
        workers.last.peak_mib

Inside the block, `LegacyModelProcess` gets its process from here. That process runs the worker's
own `main`, so it locks itself, watches its owner and answers as a started one does. Only the start
of the interpreter and the imports are saved, which take longer than all that a small file needs.
Linux only.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

APP = Path(__file__).resolve().parents[2] / "app"
sys.path[:0] = [str(APP), str(APP.parent / "tests")]

from deepseek_r1.core import child_process
from deepseek_r1.core.child_environment import child_environment

_MIB_OF_KIB = 1 / 1024


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of a process: its exit status as Popen has it, and its peak of memory in MiB."""

    returncode: int
    peak_mib: float


class ForkedWorkers:
    """Owns the process from which the others are forked. Stands in for the module `subprocess`."""

    PIPE, TimeoutExpired = subprocess.PIPE, subprocess.TimeoutExpired  # as in the module

    def __init__(self) -> None:
        self._socket, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with end:
            self._server = subprocess.Popen(
                [sys.executable, "-P", "-X", "utf8", __file__, str(end.fileno())],
                env=child_environment(),
                pass_fds=[end.fileno()],
                start_new_session=True,
            )
        self._lock = threading.Lock()
        self.last: Exit | None = None  # of the process that ended last

    def Popen(self, command: Sequence[str], **options: Any) -> _Forked:
        """Fork a process; it is a worker whatever the command is."""
        del command, options
        return _Forked(self)

    def request(self, *, descriptors: Sequence[int] = (), **body: Any) -> dict[str, Any]:
        """Send that process a request and return its reply. Raises RuntimeError if it has ended."""
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(body).encode()], list(descriptors))
            reply = self._socket.recv(4096)
        if not reply:
            raise RuntimeError("the process to fork from has ended")
        return cast("dict[str, Any]", json.loads(reply))

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Let the engine start its processes itself inside the block."""
        child_process.subprocess = subprocess
        try:
            yield
        finally:
            child_process.subprocess = cast("Any", self)

    def close(self) -> None:
        """End the process to fork from."""
        self._socket.close()
        self._server.wait()


class _Forked:
    """The part of Popen that `ChildProcess` uses."""

    def __init__(self, workers: ForkedWorkers) -> None:
        self._workers, self.returncode = workers, cast("int | None", None)
        theirs_in, ours_in = os.pipe()
        ours_out, theirs_out = os.pipe()
        ours_error, theirs_error = os.pipe()
        theirs = theirs_in, theirs_out, theirs_error
        try:
            self.pid = int(workers.request(fork=True, descriptors=theirs)["pid"])
        finally:
            for each in theirs:
                os.close(each)
        self.stdin: BinaryIO = cast("BinaryIO", os.fdopen(ours_in, "wb", buffering=0))
        self.stdout: BinaryIO = cast("BinaryIO", os.fdopen(ours_out, "rb", buffering=0))
        self.stderr: BinaryIO = cast("BinaryIO", os.fdopen(ours_error, "rb", buffering=0))

    def wait(self, timeout: float | None = None) -> int:
        """Popen's `wait`."""
        if self.returncode is None:
            reply = self._workers.request(wait=self.pid, seconds=timeout)
            if "returncode" not in reply:
                raise subprocess.TimeoutExpired("worker", timeout or 0.0)
            self.returncode = int(reply["returncode"])
            self._workers.last = Exit(self.returncode, reply["peak_kib"] * _MIB_OF_KIB)
        return self.returncode

    def kill(self) -> None:
        """Popen's `kill`."""
        self._signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Popen's `terminate`."""
        self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        if self.returncode is None:  # until it is waited for, no other process gets its id
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


@contextlib.contextmanager
def forked_workers() -> Iterator[ForkedWorkers]:
    """Let the engine for old files take its processes from here inside the block."""
    workers = ForkedWorkers()
    child_process.subprocess = cast("Any", workers)
    try:
        yield workers
    finally:
        child_process.subprocess = subprocess
        workers.close()


# ---- the process to fork from -------------------------------------------------------------------


def _serve(owner: socket.socket) -> None:
    """Fork and wait for processes as the owner requests, until it closes the socket."""
    from deepseek_r1.legacy import legacy_worker  # noqa: PLC0415 - in this process alone
    from deepseek_r1.legacy.legacy_library import library  # noqa: PLC0415
    from deepseek_r1.native.native_library import native  # noqa: PLC0415

    library(), native()
    gc.freeze()  # so that its memory stays shared with the forked processes
    while True:
        body, descriptors, _, _ = socket.recv_fds(owner, 4096, 3)
        if not body:
            return
        request = json.loads(body)
        if "fork" in request:
            pid = os.fork()
            if pid == 0:
                owner.close()
                _become(descriptors, legacy_worker.main)
            for each in descriptors:
                os.close(each)
            reply: Mapping[str, Any] = {"pid": pid}
        else:
            reply = _wait(request["wait"], request["seconds"])
        owner.send(json.dumps(reply).encode())


def _become(descriptors: Sequence[int], main: Any) -> None:
    """Run `main` with these descriptors as its pipes. Never returns."""
    try:
        os.setsid()
        for number, each in enumerate(descriptors):
            os.dup2(each, number)
            os.close(each)
        main()
    except BaseException:  # noqa: BLE001 - the interpreter would print it, too
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def _wait(pid: int, seconds: float | None) -> Mapping[str, Any]:
    """Wait for a forked process. Returns how it ended; nothing if it runs after `seconds`."""
    process = os.pidfd_open(pid)
    try:
        ended = select.poll()
        ended.register(process, select.POLLIN)
        if not ended.poll(None if seconds is None else 1000 * seconds):
            return {}
    finally:
        os.close(process)
    _, status, usage = os.wait4(pid, 0)
    return {"returncode": os.waitstatus_to_exitcode(status), "peak_kib": usage.ru_maxrss}


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
