"""Runs the process that renders chat templates, and ends it where a template does not end.

There is one for each process that uses templates. It is started before it is needed, and again
after a template made an end of it.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, cast

from deepseek_r1.core.child_environment import background_options, child_environment, module_command
from deepseek_r1.core.child_process import signal_name
from deepseek_r1.core.errors import EngineStartFailed, TemplateUnusable
from deepseek_r1.core.i18n import current_language, tr
from deepseek_r1.core.windows_job import end_with_this_process
from deepseek_r1.engine.template_frames import LENGTH, OUT_OF_MEMORY_EXIT, OWNER_PIPE, encoded
from deepseek_r1.memory.meter import cpu_seconds, unshared_mib

RENDERER_ARGUMENT = "--template-renderer"
RENDERER_MODULE = "deepseek_r1.engine.template_renderer"
START_S = 30.0  # for the process to be ready, on a very busy machine
RENDER_S = 6.0  # for one request of a process that gets the processor
STARVED_S = 30.0  # for one request, however little of the processor it gets
BUSY_S = 0.5  # of processor time: a process that had less in RENDER_S waits for others
WINDOWS_BYTES = 192 << 20  # of the whole process; elsewhere it limits itself
_POLL_S = 0.25  # on Windows, Ctrl-C does not interrupt a longer wait
_REPLY_BYTES = 1 << 20  # the most of a reply, beside copies of the request
_REPLY_COPIES = 64


class RendererLostError(Exception):
    """The process ended, or was ended, before its reply; the message is the reason."""

    def __init__(self, reason: str, *, limit: bool = True) -> None:
        """`limit` tells whether the reason is a limit that the template exceeds."""
        super().__init__(reason)
        self.limit = limit


class _ReplyTooLongError(EOFError):
    """A reply is longer than a template's texts may become."""


class TemplateProcess:
    """One renderer process. One request at a time, from any thread."""

    def __init__(self) -> None:
        """Start it. Raises EngineStartFailed."""
        options, environment = background_options(), child_environment()
        self._owner_pipe: int | None = None
        renderer_end: int | None = None
        if sys.platform == "win32":
            options["stderr"] = subprocess.DEVNULL
        else:
            renderer_end, self._owner_pipe = os.pipe()
            options["pass_fds"] = (renderer_end,)
            environment[OWNER_PIPE] = str(renderer_end)
        try:
            self._popen = subprocess.Popen(
                module_command(RENDERER_MODULE, RENDERER_ARGUMENT),
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                close_fds=True,
                **options,
            )
        except OSError as error:
            self._close_owner_pipe()
            raise EngineStartFailed(detail=str(error)) from error
        finally:
            if renderer_end is not None:
                os.close(renderer_end)
        if sys.platform == "win32":
            handle = int(self._popen._handle)
            end_with_this_process(handle, memory_bytes=WINDOWS_BYTES)
        self._ready = False
        self.owner = os.getpid()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._popen.pid

    def request(self, body: bytes) -> bytes:
        """Send a request and return its reply. Raises RendererLostError, EngineStartFailed.

        After any exception, Ctrl-C's too, the process is gone.
        """
        try:
            if not self._ready:
                self._in_time(lambda: self._receive(_REPLY_BYTES), lambda s: s >= START_S)
                self._ready = True
            most = _REPLY_BYTES + _REPLY_COPIES * len(body)
            used_s = cpu_seconds(self.pid)
            return self._in_time(
                lambda: self._exchange(body, most),
                lambda s: (
                    s >= STARVED_S or (s >= RENDER_S and cpu_seconds(self.pid) - used_s >= BUSY_S)
                ),
            )
        except TimeoutError:
            self.kill()
            if not self._ready:
                detail = tr("It gave no sign within {seconds} seconds.", seconds=START_S)
                raise EngineStartFailed(detail=detail) from None
            raise RendererLostError(tr("the template takes too long")) from None
        except (OSError, EOFError) as error:
            self.kill()
            if not self._ready:
                raise EngineStartFailed(detail=tr("It left no message.")) from None
            raise self._lost(error) from None
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End the process."""
        self._popen.kill()
        self._popen.wait()
        self._close_pipes()

    def forget(self) -> None:
        """Close the pipes of a process that belongs to the process this one was forked from."""
        self._close_pipes()
        self._popen.returncode = 0

    def _close_pipes(self) -> None:
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                pipe.close()
        self._close_owner_pipe()

    def _close_owner_pipe(self) -> None:
        descriptor, self._owner_pipe = self._owner_pipe, None
        if descriptor is not None:
            os.close(descriptor)

    def _lost(self, error: Exception) -> RendererLostError:
        """Return the error for a process that has ended; `error` is that of its pipe."""
        code = self._popen.returncode
        if sys.platform != "win32" and code == -signal.SIGPROF:
            return RendererLostError(tr("the template takes too long"))
        if code == OUT_OF_MEMORY_EXIT or isinstance(error, _ReplyTooLongError):
            return RendererLostError(tr("the template needs too much memory"))
        how = signal_name(code) if code < 0 else tr("exit code {code}", code=code)
        return RendererLostError(how, limit=False)

    def _exchange(self, body: bytes, most: int) -> bytes:
        pipe = cast("IO[bytes]", self._popen.stdin)
        rest = memoryview(LENGTH.pack(len(body)) + body)
        while rest:
            rest = rest[pipe.write(rest) :]
        return self._receive(most)

    def _receive(self, most: int) -> bytes:
        (size,) = LENGTH.unpack(self._read_exactly(LENGTH.size))
        if size > most:
            raise _ReplyTooLongError
        return self._read_exactly(size)

    def _read_exactly(self, size: int) -> bytes:
        pipe = cast("IO[bytes]", self._popen.stdout)
        parts = bytearray()
        while len(parts) < size:
            part = pipe.read(size - len(parts))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)

    @staticmethod
    def _in_time(work: Callable[[], bytes], late: Callable[[float], bool]) -> bytes:
        """Run `work` in a thread, so that neither a full pipe nor an empty one can hold us.

        `late` gets the seconds waited. Raises TimeoutError where it returns True.
        """
        results: queue.SimpleQueue[bytes | BaseException] = queue.SimpleQueue()

        def run() -> None:
            try:
                results.put(work())
            except EOFError as error:
                results.put(error)
            except (OSError, ValueError) as error:  # ValueError: the pipe was closed
                results.put(EOFError(str(error)))

        threading.Thread(target=run, name="template-request", daemon=True).start()
        waited = 0.0
        while True:
            try:
                result = results.get(timeout=_POLL_S)
            except queue.Empty:
                waited += _POLL_S
                if late(waited):
                    raise TimeoutError from None
                continue
            if isinstance(result, BaseException):
                raise result
            return result


class _Renderer:
    """The renderer of this process: starts it, replaces it, and leaves a forked copy alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: TemplateProcess | None = None
        atexit.register(self.close)

    def start(self) -> None:
        """Start the process unless it runs. Raises EngineStartFailed."""
        with self._lock:
            self._running()

    def request(self, body: bytes) -> bytes:
        """Send a request to it. Raises RendererLostError, EngineStartFailed."""
        with self._lock:
            process = self._running()
            try:
                return process.request(body)
            except BaseException:
                self._process = None
                raise

    @property
    def pid(self) -> int | None:
        """The id of the process, where there is one."""
        process = self._process
        return process.pid if process is not None and process.owner == os.getpid() else None

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None and process.owner == os.getpid():
            process.kill()

    def after_fork(self) -> None:
        """Leave the parent's renderer to the parent."""
        self._lock = threading.Lock()
        process, self._process = self._process, None
        if process is not None:
            process.forget()

    def _running(self) -> TemplateProcess:
        if self._process is None:
            self._process = TemplateProcess()
        return self._process


_renderer = _Renderer()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renderer.after_fork)


def start_renderer() -> None:
    """Start the renderer, so that it is ready when a template needs it."""
    _renderer.start()


def renderer_pid() -> int | None:
    """The process id of the renderer; None where none runs."""
    return _renderer.pid


def renderer_mib() -> float:
    """The memory of the renderer in MiB, without the libraries that it shares; 0 without one."""
    pid = renderer_pid()
    return unshared_mib(pid) if pid is not None else 0.0


def end_renderer() -> None:
    """End the renderer, where no template is used."""
    _renderer.close()


def render_in_process(source: str, calls: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Render `source` for each of `calls`; see `template_rendering.render_calls`.

    Raises TemplateUnusable where the limits of time or memory ended it, or where the process has
    ended twice for another reason, such as a system without memory. Raises EngineStartFailed.
    """
    body = encoded({"source": source, "calls": calls, "language": current_language()})
    try:
        reply = json.loads(_request_twice(body))
    except RendererLostError as error:
        if error.limit:
            detail = tr("It exceeds the limits: {detail}.", detail=error)
        else:
            detail = tr("The process that renders it has ended: {how}.", how=error)
        raise TemplateUnusable(detail=detail) from None
    return [(str(outcome), str(text)) for outcome, text in reply]


def _request_twice(body: bytes) -> bytes:
    """Send a request, and again to another process where the first one was ended by others."""
    try:
        return _renderer.request(body)
    except RendererLostError as error:
        if error.limit:
            raise
    return _renderer.request(body)
