"""Runs the process that renders chat templates, and ends it where a template does not end.

There is one for each process that uses templates. It is started before it is needed, and again
after a template made an end of it.
"""

import atexit
import errno
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

from deepseek_r1.core.child_call import ChildCall, ChildDied, ChildTooLarge, ChildTooSlow
from deepseek_r1.core.errors import (
    EngineStartFailed,
    ProtocolBroken,
    SystemTooTight,
    TemplateUnusable,
)
from deepseek_r1.core.frames import FrameTooLong
from deepseek_r1.core.i18n import current_language, tr
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.memory.meter import cpu_seconds, unshared_mib

START_S = 30.0  # from the process's start to its first reply
RENDER_S = 6.0  # for one request of a process that gets the processor
STARVED_S = 30.0  # for one request, however little of the processor it gets
BUSY_S = 0.5  # of processor time: a process that had less in RENDER_S waits for others
MEMORY_BYTES = 192 << 20  # of the whole process, where it cannot limit itself: Windows, macOS
REQUEST_BYTES = 128 << 20
REPLY_BYTES = 1 << 20  # the most of a reply, and
REPLY_SHARE = 64  # so many for each byte of its request

Rendered = tuple[Literal["text", "refused", "failed"], str]  # the text, or the reason
_replies: TypeAdapter[list[Rendered]] = TypeAdapter(list[Rendered])


class _Render(BaseModel):
    """Renders a template once for each of `calls`."""

    source: str = ""
    calls: Sequence[Mapping[str, Any]] = ()
    language: str = ""


class RendererLostError(Exception):
    """The process ended, or was ended, before its reply; the message is the reason."""

    def __init__(self, reason: str, *, limit: bool = True) -> None:
        """`limit` tells whether the reason is a limit that the template exceeds."""
        super().__init__(reason)
        self.limit = limit


class _Renderer:
    """The renderer of this process. From any thread; a forked copy starts one of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: ChildCall | None = None
        self._ready = False  # the child has answered once
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def start(self) -> None:
        """Start the process unless it runs, so that it is ready when a template needs it.

        Raises EngineStartFailed.
        """
        with self._lock:
            self._running()

    def pid(self) -> int | None:
        child = self._child
        return None if child is None else child.pid

    def close(self) -> None:
        """End the process, where no template is used."""
        child, self._child = self._child, None
        if child is not None:
            child.close()

    def _after_fork(self) -> None:
        """Leave the parent's renderer to the parent."""
        self._lock = threading.Lock()
        child, self._child = self._child, None
        if child is not None:
            child.forget()

    def _running(self) -> ChildCall:
        if self._child is None:
            try:
                self._child = ChildCall(
                    ChildKind.TEMPLATES,
                    _replies,
                    most_bytes=REPLY_BYTES,
                    reply_share=REPLY_SHARE,
                    request_bytes=REQUEST_BYTES,
                    memory_bytes=MEMORY_BYTES,
                )
            except OSError as error:
                raise SystemTooTight(detail=str(error)) from error
            self._ready = False
        return self._child

    def request(self, request: _Render) -> list[Rendered]:
        """Send a request and return its reply. Raises RendererLostError, EngineStartFailed.

        After any exception, Ctrl-C's too, the process is gone.
        """
        with self._lock:
            child = self._running()
            try:
                if not self._ready:  # its start is no time of the template's
                    child.ask(_Render(), deadline_s=START_S)
                    self._ready = True
                return _ask(child, request)
            except ChildTooSlow:
                if self._ready:
                    raise RendererLostError(tr("the template takes too long")) from None
                raise EngineStartFailed(detail=tr("It did not answer in time.")) from None
            except (ProtocolBroken, FrameTooLong, ChildTooLarge):
                raise RendererLostError(tr("the template needs too much memory")) from None
            except ChildDied as died:
                raise _lost(died) from None
            finally:
                if not child.running:
                    self._child = None


def _ask(child: ChildCall, request: _Render) -> list[Rendered]:
    used_s = cpu_seconds(child.pid)

    def check_time(waited_s: float) -> None:
        if waited_s >= RENDER_S and cpu_seconds(child.pid) - used_s >= BUSY_S:
            raise ChildTooSlow

    reply: list[Rendered] = child.ask(request, deadline_s=STARVED_S, on_wait=check_time)
    return reply


def _lost(died: ChildDied) -> RendererLostError:
    if sys.platform != "win32" and died.returncode == -signal.SIGPROF:
        return RendererLostError(tr("the template takes too long"))
    if died.returncode == errno.ENOMEM:
        return RendererLostError(tr("the template needs too much memory"))
    how = died.how if died.returncode < 0 else tr("exit code {code}", code=died.returncode)
    return RendererLostError(how, limit=False)


_renderer = _Renderer()
start_renderer, renderer_pid, end_renderer = _renderer.start, _renderer.pid, _renderer.close


def renderer_mib() -> float:
    """The memory of the renderer in MiB, without the libraries that it shares; 0 without one."""
    pid = renderer_pid()
    return unshared_mib(pid) if pid is not None else 0.0


def render_in_process(source: str, calls: Sequence[Mapping[str, Any]]) -> list[Rendered]:
    """Render `source` for each of `calls`; see `template_renderer.render_calls`.

    Raises TemplateUnusable where the limits of time or memory ended it, or where the process has
    ended twice for another reason, such as a system without memory. Raises EngineStartFailed.
    """
    request = _Render(source=source, calls=calls, language=current_language())
    try:
        try:
            return _renderer.request(request)
        except RendererLostError as error:
            if error.limit:
                raise
        return _renderer.request(request)  # another program has ended the first process
    except RendererLostError as error:
        if error.limit:
            detail = tr("It exceeds the limits: {detail}.", detail=error)
        else:
            detail = tr("The process that renders it has ended: {how}.", how=error)
        raise TemplateUnusable(detail=detail) from None
