"""Runs the process that renders chat templates, and ends it where a template does not end.

There is one for each process that uses templates. It is started before it is needed, and again
after a template made an end of it.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter

from deepseek_r1.core.child_call import ChildCall, ChildDied, ChildTooSlow
from deepseek_r1.core.child_environment import background_options, child_environment
from deepseek_r1.core.errors import EngineStartFailed, ProtocolBroken, TemplateUnusable
from deepseek_r1.core.frames import FrameTooLong
from deepseek_r1.core.i18n import current_language, tr
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.engine.prompt.template_frames import OUT_OF_MEMORY_EXIT, OWNER_PIPE
from deepseek_r1.memory.meter import cpu_seconds, unshared_mib

START_S = 30.0  # from the process's start to its first reply
RENDER_S = 6.0  # for one request of a process that gets the processor
STARVED_S = 30.0  # for one request, however little of the processor it gets
BUSY_S = 0.5  # of processor time: a process that had less in RENDER_S waits for others
WINDOWS_BYTES = 192 << 20  # of the whole process; elsewhere it limits itself
FRAME_BYTES = 128 << 20  # the most of a request, and of a reply

_replies: TypeAdapter[list[tuple[str, str]]] = TypeAdapter(list[tuple[str, str]])


class _Render(BaseModel):
    """Renders a template once for each of `calls`."""

    source: str
    calls: Sequence[Mapping[str, Any]]
    language: str


class RendererLostError(Exception):
    """The process ended, or was ended, before its reply; the message is the reason."""

    def __init__(self, reason: str, *, limit: bool = True) -> None:
        """`limit` tells whether the reason is a limit that the template exceeds."""
        super().__init__(reason)
        self.limit = limit


class TemplateProcess:
    """One renderer process. One request at a time, from any thread."""

    def __init__(self) -> None:
        """Start it. Raises EngineStartFailed."""
        options, environment = background_options(), child_environment()
        self._owner_pipe: int | None = None
        renderer_end: int | None = None
        if sys.platform != "win32":
            renderer_end, self._owner_pipe = os.pipe()
            options["pass_fds"] = (renderer_end,)
            environment[OWNER_PIPE] = str(renderer_end)
        try:
            self._child = ChildCall(
                ChildKind.TEMPLATES,
                _replies,
                environment=environment,
                options=options,
                most_bytes=FRAME_BYTES,
                request_bytes=FRAME_BYTES,
                memory_bytes=WINDOWS_BYTES,
            )
        except OSError as error:
            self._close_owner_pipe()
            raise EngineStartFailed(detail=str(error)) from error
        finally:
            if renderer_end is not None:
                os.close(renderer_end)
        self.pid, self.owner = self._child.pid, os.getpid()
        self._ready = False

    def request(self, request: _Render) -> list[tuple[str, str]]:
        """Send a request and return its reply. Raises RendererLostError, EngineStartFailed.

        After any exception, Ctrl-C's too, the process is gone.
        """
        try:
            if not self._ready:  # its start is no time of the template's
                self._child.ask(_Render(source="", calls=(), language=""), deadline_s=START_S)
                self._ready = True
            return self._render(request)
        except ChildTooSlow:
            if self._ready:
                raise RendererLostError(tr("the template takes too long")) from None
            raise EngineStartFailed(detail=tr("It did not answer in time.")) from None
        except (ProtocolBroken, FrameTooLong):
            raise RendererLostError(tr("the template needs too much memory")) from None
        except ChildDied as died:
            raise _lost(died) from None
        finally:
            if not self._child.running:
                self._close_owner_pipe()

    def _render(self, request: _Render) -> list[tuple[str, str]]:
        used_s = cpu_seconds(self.pid)

        def check_time(waited_s: float) -> None:
            if waited_s >= RENDER_S and cpu_seconds(self.pid) - used_s >= BUSY_S:
                raise ChildTooSlow

        reply: list[tuple[str, str]] = self._child.ask(
            request, deadline_s=STARVED_S, on_wait=check_time
        )
        return reply

    def kill(self) -> None:
        """End the process."""
        self._child.close()
        self._close_owner_pipe()

    def forget(self) -> None:
        """Close the pipes of a process that belongs to the process this one was forked from."""
        self._child.forget()
        self._close_owner_pipe()

    def _close_owner_pipe(self) -> None:
        descriptor, self._owner_pipe = self._owner_pipe, None
        if descriptor is not None:
            os.close(descriptor)


def _lost(died: ChildDied) -> RendererLostError:
    if sys.platform != "win32" and died.returncode == -signal.SIGPROF:
        return RendererLostError(tr("the template takes too long"))
    if died.returncode == OUT_OF_MEMORY_EXIT:
        return RendererLostError(tr("the template needs too much memory"))
    how = died.how if died.returncode < 0 else tr("exit code {code}", code=died.returncode)
    return RendererLostError(how, limit=False)


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

    def request(self, request: _Render) -> list[tuple[str, str]]:
        """Send a request to it. Raises RendererLostError, EngineStartFailed."""
        with self._lock:
            process = self._running()
            try:
                return process.request(request)
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
    request = _Render(source=source, calls=calls, language=current_language())
    try:
        return _request_twice(request)
    except RendererLostError as error:
        if error.limit:
            detail = tr("It exceeds the limits: {detail}.", detail=error)
        else:
            detail = tr("The process that renders it has ended: {how}.", how=error)
        raise TemplateUnusable(detail=detail) from None


def _request_twice(request: _Render) -> list[tuple[str, str]]:
    """Send a request, and again to another process where the first one was ended by others."""
    try:
        return _renderer.request(request)
    except RendererLostError as error:
        if error.limit:
            raise
    return _renderer.request(request)
