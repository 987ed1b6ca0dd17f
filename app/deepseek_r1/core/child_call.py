"""Asks a child process: starts it, sends requests, waits for each reply, and ends it."""

import queue
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Self

import psutil
from pydantic import BaseModel, TypeAdapter

from deepseek_r1.core import frames
from deepseek_r1.core.child_process import (
    UNHANDLED_FRAMES,
    ChildProcess,
    FrameReceived,
    ProcessEvent,
    ProcessExited,
    StreamBroken,
    signal_name,
)
from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.processes import (
    ChildKind,
    background_options,
    child_command,
    child_environment,
)

POLL_S: Final = 0.1  # on Windows, Ctrl-C does not interrupt a longer wait
WATCHES_MEMORY: bool = sys.platform == "darwin"  # which limits no other process's memory
CLOSE_S: Final = 2.0  # for a killed process to end; one that waits for a drive takes longer


class ChildProgress(frames.PipeMessage):
    """Base of the messages that may come before a reply."""


class ChildFailure(frames.PipeMessage):
    """The reply in place of a result: the error of ours that ended the work."""

    kind: Literal["failed"] = "failed"
    report: ErrorReport


class ChildDied(Exception):
    """The process has ended without a reply. `how` is its signal or exit code."""

    def __init__(self, returncode: int, stderr: str) -> None:
        self.returncode, self.stderr = returncode, stderr
        self.how = signal_name(returncode) if returncode < 0 else str(returncode)
        super().__init__(self.how)


class ChildTooSlow(Exception):
    """No reply came in time."""


class ChildTooLarge(Exception):
    """It took more memory than it may."""


class ChildCall:
    """One process that answers one request after the other.

    A context manager. For one thread at a time, except for `send`, `hurry` and `close`.
    """

    def __init__(
        self,
        kind: ChildKind,
        replies: TypeAdapter[Any],
        *,
        environment: Mapping[str, str] | None = None,
        options: Mapping[str, Any] | None = None,
        most_bytes: int = frames.FROM_CHILD_CAP,
        reply_share: int = 0,
        request_bytes: int = frames.TO_CHILD_CAP,
        memory_bytes: int = 0,
        most_waiting: int = UNHANDLED_FRAMES,
    ) -> None:
        """Start the process. Raises OSError.

        `replies` validates what it sends, frames of up to `most_bytes` and `reply_share` for each
        byte of the request; it gets up to `request_bytes`. `environment` and `options` of Popen are
        those of `kind` by default. It has at most `memory_bytes`: Windows sees to that, and on
        macOS whoever waits for a reply; 0 is no limit. On Linux a process limits itself. It waits
        while `most_waiting` messages are not taken.
        """
        self._most_bytes, self._reply_share = most_bytes, reply_share
        self._request_bytes, self._memory_bytes = request_bytes, memory_bytes
        self._due = float("inf")
        self._events: queue.SimpleQueue[ProcessEvent] = queue.SimpleQueue()
        self._process = ChildProcess(
            child_command(kind),
            environment or child_environment(proxies=kind.value.uses_proxies),
            replies,
            self._events.put,
            options or background_options(),
            most_bytes=most_bytes,
            memory_bytes=memory_bytes,
            most_waiting=most_waiting,
        )
        self.pid = self._process.pid
        self.running = True
        self._exit: ProcessExited | None = None  # once it has ended
        self._forgotten = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def idle(self) -> bool:
        """Whether it still runs, before the first request: it has sent nothing and not ended."""
        return self.running and self._events.empty()

    def ask(
        self,
        request: BaseModel,
        *,
        deadline_s: float = float("inf"),
        on_progress: Callable[[Any], object] = lambda _progress: None,
        on_wait: Callable[[float], object] = lambda _waited_s: None,
    ) -> Any:
        """Send a request and return its reply. Raises the error that the process reports.

        `on_wait` is called ten times a second, with the seconds waited, and may raise. The process
        does not outlive other exceptions: ChildDied, ChildTooSlow, ChildTooLarge, ProtocolBroken,
        FrameTooLong.
        """
        try:
            began = time.monotonic()
            self._due = began + deadline_s
            self.send(request)
            while isinstance(reply := self._next(began, on_wait), ChildProgress):
                on_progress(reply)
        except BaseException:  # a late reply would be taken for that to the next request
            self.close()
            raise
        if isinstance(reply, ChildFailure):
            raise reply.report.error
        return reply

    def send(self, message: BaseModel) -> None:
        """Send a message that has no reply of its own. Raises FrameTooLong."""
        frame = frames.pack(message, self._request_bytes)
        self._process.most_bytes = self._most_bytes + self._reply_share * len(frame)
        self._process.send(frame)

    def hurry(self, seconds: float) -> None:
        """Let the present reply come in this time, or not at all."""
        self._due = min(self._due, time.monotonic() + seconds)

    def close(self, patience_s: float = CLOSE_S) -> bool:
        """Kill the process. False where it does not end in time, since it waits for a drive."""
        if self.running:
            self.running = False
            self._process.kill()
        due = time.monotonic() + patience_s
        while not self._forgotten and self._exit is None:
            event = self._event(due)
            if isinstance(event, FrameReceived):
                self._process.frame_handled()
            elif event is None and time.monotonic() >= due:
                return False
        return True

    def forget(self) -> None:
        """Leave the process alone: it belongs to the process that this one was forked from."""
        self.running, self._forgotten = False, True
        self._process.forget()

    def _next(self, began: float, on_wait: Callable[[float], object]) -> Any:
        while True:
            event = self._event(self._due)
            match event:
                case None | ProcessExited() if self._exit is not None:
                    self.running = False
                    raise ChildDied(self._exit.returncode, self._process.stderr)
                case None if time.monotonic() >= self._due:
                    raise ChildTooSlow
                case None:
                    self._watch_memory()
                    on_wait(time.monotonic() - began)
                case FrameReceived(reply=reply):
                    self._process.frame_handled()
                    return reply
                case StreamBroken(error=error):
                    raise error

    def _watch_memory(self) -> None:
        if not (WATCHES_MEMORY and self._memory_bytes):
            return
        try:
            used_bytes = psutil.Process(self.pid).memory_info().rss
        except psutil.Error:  # it has just ended
            return
        if used_bytes > self._memory_bytes:
            raise ChildTooLarge

    def _event(self, due: float) -> ProcessEvent | None:
        """The next event; None for a while without one."""
        try:
            event = self._events.get(timeout=max(0.0, min(POLL_S, due - time.monotonic())))
        except queue.Empty:
            return None
        if isinstance(event, ProcessExited):
            self._process.close()
            self._exit = event
        return event
