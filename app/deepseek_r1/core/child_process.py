"""Runs a child process that sends frames, with a thread for each of its three pipes."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from queue import SimpleQueue
from typing import Any, BinaryIO, cast

from pydantic import TypeAdapter

from deepseek_r1.core import frames, log
from deepseek_r1.core.errors import ProtocolBroken

STDERR_TAIL_BYTES = 64 * 1024
UNHANDLED_FRAMES = 1024  # read but not yet handled
EXIT_GRACE_S = 2.0  # between closing its pipe and its exit
JOIN_S = 1.0


@dataclass(frozen=True, slots=True)
class FrameReceived:
    """A valid frame arrived."""

    process: ChildProcess
    reply: Any  # a message of the adapter


@dataclass(frozen=True, slots=True)
class StreamBroken:
    """Invalid bytes arrived; nothing more is read."""

    process: ChildProcess
    error: ProtocolBroken


@dataclass(frozen=True, slots=True)
class ProcessExited:
    """The process has exited. `lingered`: it had closed its pipe and had to be killed."""

    process: ChildProcess
    returncode: int
    lingered: bool


ProcessEvent = FrameReceived | StreamBroken | ProcessExited


def signal_name(returncode: int) -> str:
    """The name of the signal that ended a process, from its negative exit code."""
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"


class ChildProcess:
    """A child process that reads frames from its standard input and writes frames to its output.

    It starts in the constructor, which may raise OSError. `adapter` validates its messages,
    `options` are Popen's, and `on_event` runs on the reading thread.
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        adapter: TypeAdapter[Any],
        on_event: Callable[[ProcessEvent], None],
        options: Mapping[str, Any],
        *,
        most_bytes: int = frames.FROM_CHILD_CAP,
        memory_bytes: int = 0,
        most_waiting: int = UNHANDLED_FRAMES,
    ) -> None:
        """`most_bytes` of a frame are read; on Windows it commits at most `memory_bytes`.

        It has to wait while `most_waiting` frames are not handled.
        """
        self._adapter, self.most_bytes, self._on_event = adapter, most_bytes, on_event
        self._popen = subprocess.Popen(
            list(command),
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env),
            close_fds=True,
            **options,
        )
        if sys.platform == "win32":
            _end_with_this_process(int(self._popen._handle), memory_bytes=memory_bytes)
        self.pid = self._popen.pid
        self.last_frame_at = time.monotonic()
        self._blocked_since: float | None = None
        self._stderr = bytearray()
        self._outbox: SimpleQueue[bytes | None] = SimpleQueue()
        self._unhandled = threading.BoundedSemaphore(most_waiting)
        self._threads = [
            threading.Thread(target=body, name=f"child-{body.__name__[1:]}", daemon=True)
            for body in (self._write, self._read_stderr, self._read)
        ]
        try:
            for thread in self._threads:
                thread.start()
        except RuntimeError as error:  # the system has no memory for a thread
            self._popen.kill()
            self._popen.wait()
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            self.close()
            raise OSError(str(error)) from error

    def send(self, frame: bytes) -> None:
        """Queue a packed frame for the child. Never blocks."""
        self._outbox.put(frame)

    def frame_handled(self) -> None:
        """Let the reading thread read one more frame: one `FrameReceived` was handled."""
        self._unhandled.release()

    @property
    def last_sign_at(self) -> float:
        """The time of the last frame, or since when the child has not read one of ours."""
        return min(self.last_frame_at, self._blocked_since or self.last_frame_at)

    @property
    def stderr(self) -> str:
        """The end of what it wrote to standard error."""
        return self._stderr.decode(errors="replace")

    def terminate(self) -> None:
        self._popen.terminate()

    def kill(self) -> None:
        self._popen.kill()

    def close(self) -> None:
        """Release threads and pipes. Only after `ProcessExited`."""
        self._outbox.put(None)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(JOIN_S)
        self._close_pipes()

    def forget(self) -> None:
        """Close the pipes only: this process was forked from the one that started it."""
        self._popen.returncode = 0
        self._close_pipes()

    def _close_pipes(self) -> None:
        for pipe in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if pipe is not None:
                pipe.close()

    # ---- threads ----------------------------------------------------------------------------

    def _write(self) -> None:
        pipe = cast("BinaryIO", self._popen.stdin)
        while (frame := self._outbox.get()) is not None:
            self._blocked_since = time.monotonic()
            try:
                frames.write(pipe, frame)
            except OSError:  # the process has exited; the reading thread reports it
                return
            finally:
                self._blocked_since = None

    def _read_stderr(self) -> None:
        pipe = cast("BinaryIO", self._popen.stderr)
        while part := pipe.read(4096):
            self._stderr += part
            del self._stderr[:-STDERR_TAIL_BYTES]

    def _read(self) -> None:
        pipe = cast("BinaryIO", self._popen.stdout)
        try:
            while (body := frames.read(pipe, lambda: self.most_bytes)) is not None:
                self.last_frame_at = time.monotonic()
                reply = frames.parse(body, self._adapter)
                self._unhandled.acquire()
                self._on_event(FrameReceived(self, reply))
        except frames.StreamCutOff:
            pass  # the exit code is the better explanation
        except ProtocolBroken as error:
            self._on_event(StreamBroken(self, error))
        self._on_event(self._reap())

    def _reap(self) -> ProcessExited:
        lingered = False
        try:
            returncode = self._popen.wait(EXIT_GRACE_S)
        except subprocess.TimeoutExpired:
            lingered = True
            self._popen.kill()
            returncode = self._popen.wait()
        self._threads[1].join(JOIN_S)  # the end of stderr may still be in the pipe
        return ProcessExited(self, returncode, lingered)


_EXTENDED_LIMITS = 9  # JobObjectExtendedLimitInformation
_KILL_ON_JOB_CLOSE = 0x2000
_PROCESS_MEMORY = 0x100


class _BasicLimits(ctypes.Structure):
    _fields_ = (
        ("process_time", ctypes.c_int64),
        ("job_time", ctypes.c_int64),
        ("flags", ctypes.c_uint32),
        ("minimum_working_set", ctypes.c_size_t),
        ("maximum_working_set", ctypes.c_size_t),
        ("active_processes", ctypes.c_uint32),
        ("affinity", ctypes.c_size_t),
        ("priority_class", ctypes.c_uint32),
        ("scheduling_class", ctypes.c_uint32),
    )


class _ExtendedLimits(ctypes.Structure):
    _fields_ = (
        ("basic", _BasicLimits),
        ("io_counters", ctypes.c_uint64 * 6),
        ("process_memory", ctypes.c_size_t),
        ("job_memory", ctypes.c_size_t),
        ("peak_process_memory", ctypes.c_size_t),
        ("peak_job_memory", ctypes.c_size_t),
    )


def _end_with_this_process(process_handle: int, *, memory_bytes: int = 0) -> None:
    """Put a process of ours into a job object, which Windows ends together with this process.

    The job has no other handle than ours: when this process ends, even by a kill, the handle is
    closed and the job's processes are ended. With `memory_bytes` the process can commit at most
    that much. `process_handle` is that of `subprocess.Popen`.
    """
    if sys.platform == "win32":
        job = _job(memory_bytes)
        if not job or not _kernel32().AssignProcessToJobObject(
            ctypes.c_void_p(job), ctypes.c_void_p(process_handle)
        ):
            error = ctypes.get_last_error()
            log.host.warning("a child process is in no job object: error %d", error)


@cache
def _kernel32() -> Any:
    if sys.platform == "win32":
        library = ctypes.WinDLL("kernel32", use_last_error=True)
        library.CreateJobObjectW.restype = ctypes.c_void_p
        return library
    else:  # noqa: RET505 - mypy knows a platform's branch
        raise NotImplementedError


@cache
def _job(memory_bytes: int) -> int:
    """A job object for this limit, kept until this process ends; 0 where the system refuses it."""
    library = _kernel32()
    job = library.CreateJobObjectW(None, None)
    limits = _ExtendedLimits()
    limits.basic.flags = _KILL_ON_JOB_CLOSE | (_PROCESS_MEMORY if memory_bytes else 0)
    limits.process_memory = memory_bytes
    done = job and library.SetInformationJobObject(
        ctypes.c_void_p(job), _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)
    )
    return int(job) if done else 0
