"""One engine process with its three pipes, each on a thread of its own, so that nobody waits."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import BinaryIO, cast

from deepseek_r1.core.errors import ProtocolBroken
from deepseek_r1.host import environment, frames, protocol

STDERR_TAIL_BYTES = 64 * 1024
FRAMES_AHEAD = 1024  # read but not yet handled; then the engine has to wait
END_GRACE_S = 2.0  # between closing its pipe and being gone
JOIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Arrived:
    """A valid frame came."""

    process: EngineProcess
    reply: protocol.Reply


@dataclass(frozen=True, slots=True)
class Broken:
    """Something else came; nothing more is read."""

    process: EngineProcess
    error: ProtocolBroken


@dataclass(frozen=True, slots=True)
class Ended:
    """The process is gone. `lingered`: it had closed its pipe and had to be killed."""

    process: EngineProcess
    returncode: int
    lingered: bool


News = Arrived | Broken | Ended


class EngineProcess:
    """Starts at once; raises OSError where that fails. `tell` is called on the reading thread."""

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], tell: Callable[[News], None]
    ) -> None:
        self._tell = tell
        self._popen = subprocess.Popen(
            list(command),
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env),
            close_fds=True,
            **environment.start_options(),
        )
        self.pid = self._popen.pid
        self.heard_at = time.monotonic()
        self._stuck_since: float | None = None
        self._stderr = bytearray()
        self._outbox: SimpleQueue[bytes | None] = SimpleQueue()
        self._ahead = threading.BoundedSemaphore(FRAMES_AHEAD)
        self._threads = [
            threading.Thread(target=body, name=f"engine-{body.__name__[1:]}", daemon=True)
            for body in (self._write, self._read_stderr, self._read)
        ]
        for thread in self._threads:
            thread.start()

    def send(self, request: protocol.Request) -> None:
        """Queue a request for the engine. Raises FrameTooLong; never blocks."""
        self._outbox.put(frames.pack(request, frames.TO_ENGINE_CAP))

    def handled(self) -> None:
        """One `Arrived` was dealt with: room for another."""
        self._ahead.release()

    @property
    def last_sign_at(self) -> float:
        """When a frame came last, or since when the engine does not take one of ours."""
        stuck_since = self._stuck_since
        return self.heard_at if stuck_since is None else min(self.heard_at, stuck_since)

    @property
    def stderr(self) -> str:
        """The end of what it wrote to standard error."""
        return self._stderr.decode(errors="replace")

    def terminate(self) -> None:
        """Ask the system to end it."""
        self._popen.terminate()

    def kill(self) -> None:
        """End it without asking."""
        self._popen.kill()

    def close(self) -> None:
        """Give threads and pipes back. Only after `Ended`."""
        self._outbox.put(None)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(JOIN_S)
        for pipe in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if pipe is not None:
                pipe.close()

    # ---- threads ----------------------------------------------------------------------------

    def _write(self) -> None:
        pipe = cast("BinaryIO", self._popen.stdin)
        while (frame := self._outbox.get()) is not None:
            rest = memoryview(frame)
            self._stuck_since = time.monotonic()
            try:
                while rest:
                    rest = rest[pipe.write(rest) :]
            except OSError:  # it is gone; the reader tells
                return
            finally:
                self._stuck_since = None

    def _read_stderr(self) -> None:
        pipe = cast("BinaryIO", self._popen.stderr)
        while part := pipe.read(4096):
            self._stderr += part
            del self._stderr[:-STDERR_TAIL_BYTES]

    def _read(self) -> None:
        pipe = cast("BinaryIO", self._popen.stdout)
        try:
            while (body := frames.read(pipe, frames.FROM_ENGINE_CAP)) is not None:
                self.heard_at = time.monotonic()
                reply = frames.parse(body, protocol.reply_adapter)
                self._ahead.acquire()
                self._tell(Arrived(self, reply))
        except frames.StreamCutOff:
            pass  # how the process ended says more
        except ProtocolBroken as error:
            self._tell(Broken(self, error))
        self._tell(self._reap())

    def _reap(self) -> Ended:
        lingered = False
        try:
            returncode = self._popen.wait(END_GRACE_S)
        except subprocess.TimeoutExpired:
            lingered = True
            self._popen.kill()
            returncode = self._popen.wait()
        self._threads[1].join(JOIN_S)  # its last words may still be in the pipe
        return Ended(self, returncode, lingered)
