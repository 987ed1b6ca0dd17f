"""Owns the engine's process: starts it, feeds it, watches it, ends it, and starts it again.

`run()` does everything in the thread that calls it and calls `notify` only there. It sleeps until
something happens: a request, a frame, an exit, or the time for the next check. The request queue
and the session decide; what they return is carried out here. A process holds one model: another
load replaces it, once the header process has accepted its files.
"""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.core import frames, log
from deepseek_r1.core.child_process import (
    ChildProcess,
    FrameReceived,
    ProcessEvent,
    ProcessExited,
    StreamBroken,
)
from deepseek_r1.core.errors import (
    EngineFailed,
    EngineKeepsDying,
    EngineStartFailed,
    ErrorReport,
    ProtocolBroken,
    R1Error,
    SystemTooTight,
)
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.processes import (
    ChildKind,
    background_options,
    child_command,
    child_environment,
)
from deepseek_r1.engine.llama.binding.library import wait_policy
from deepseek_r1.host import protocol
from deepseek_r1.host.engine_session import (
    EngineSession,
    HangLimits,
    KillStep,
    RestartBudget,
    in_short,
)
from deepseek_r1.host.protocol import EngineState, HostEvent, RestartRequest, StateChanged
from deepseek_r1.host.request_queue import QueueOutput, RequestQueue
from deepseek_r1.memory.forecast import planned_share
from deepseek_r1.memory.load_plan import LoadPlan, plan_load, read_other_models

SHUTDOWN_S = protocol.SAVE_PROMPTS_S + 1.0  # for a process to end by itself


@dataclass(frozen=True, slots=True)
class _LoadChecked:
    """The header process has read the files of a load: its plan, or why it is refused."""

    load_id: int
    found: LoadPlan | ErrorReport


_InboxItem = protocol.Request | RestartRequest | ProcessEvent | _LoadChecked


@dataclass(frozen=True, slots=True)
class _Running:
    """The present process and what is known about it."""

    process: ChildProcess
    session: EngineSession


class Supervisor:
    """Keeps at most one engine process. Nothing is started before the first request."""

    def __init__(
        self,
        notify: Callable[[HostEvent], None],
        *,
        command: Sequence[str] | None = None,
        limits: HangLimits | None = None,
        budget: RestartBudget | None = None,
    ) -> None:
        self._notify = notify
        self._command = list(command or child_command(ChildKind.ENGINE))
        self._limits = limits or HangLimits()
        self._budget = budget or RestartBudget()
        self._inbox: queue.SimpleQueue[_InboxItem] = queue.SimpleQueue()
        self._queue = RequestQueue(self._limits.cancel_s)
        self._state = EngineState.STOPPED
        self._stopping = False
        self._given_up: ErrorReport | None = None
        self._running: _Running | None = None
        self._restarting = False
        self._replacing = False

    # ---- any thread -------------------------------------------------------------------------

    def post(self, request: protocol.Request | RestartRequest) -> None:
        """Hand a request over. Never blocks; the answer comes through `notify`."""
        self._inbox.put(request)

    def request_stop(self) -> None:
        self._inbox.put(protocol.ShutdownRequest())

    # ---- the thread of run() ----------------------------------------------------------------

    def run(self) -> None:
        """Serve until `request_stop()`. No process is left running, whatever happens."""
        try:
            while not self._stopping:
                self._handle_next()
                if self._running is not None:
                    self._check(self._running)
                self._publish()
        finally:
            self._shut_down()
        self._publish()

    def _handle_next(self) -> None:
        """Wait for the next thing to happen, at most until the next check of the process."""
        timeout = None
        if self._running is not None:
            at = self._running.session.next_check_at(self._queue.in_flight)
            timeout = max(0.0, at - time.monotonic())
        try:
            item = self._inbox.get(timeout=timeout)
        except queue.Empty:
            return
        self._handle(item)

    def _handle(self, item: _InboxItem) -> None:
        now = time.monotonic()
        match item:
            case FrameReceived(process, reply):
                process.frame_handled()
                if (running := self._current(process)) is not None:
                    self._on_frame(running.session, reply, now)
            case StreamBroken(process, error):
                if (running := self._current(process)) is not None:
                    running.session.condemn(error, KillStep.KILL, now)
            case ProcessExited():
                self._on_exit(item)
            case _LoadChecked(load_id, found):
                self._carry_out(self._queue.on_load_checked(load_id, found, now))
            case protocol.ShutdownRequest():
                self._stopping = True
            case RestartRequest():
                self._restart()
            case protocol.CancelRequest():
                self._carry_out(self._queue.cancel(item.id, now))
            case protocol.EndThinkingRequest():
                self._carry_out(self._queue.end_thinking(item.id))
            case _ if self._given_up is not None:
                self._notify(protocol.ErrorReply(id=item.id, report=self._given_up))
            case _:
                self._carry_out(self._queue.submit(item, now))
                self._start_if_needed()

    def _carry_out(self, output: QueueOutput) -> None:
        """Send the queue's frames and requests, and hand its replies to the owner."""
        for frame in output.frames:
            if self._running is not None:
                self._running.process.send(frame)
        for reply in output.replies:
            self._notify(reply)
        if output.check is not None:
            work = partial(self._check_load, output.check)
            threading.Thread(target=work, name="load-check", daemon=True).start()
        if output.replace and self._running is not None:
            self._replace(self._running)

    def _on_frame(self, session: EngineSession, reply: protocol.Reply, now: float) -> None:
        if not session.accepts_frames:
            return
        try:
            session.check_order(reply, now)
            match reply:
                case protocol.Handshake():
                    self._notify(reply)
                    self._carry_out(self._queue.on_engine_ready(now))
                case protocol.Heartbeat():
                    session.on_heartbeat(reply, now)
                    self._notify(reply)
                case _:
                    self._carry_out(self._queue.on_reply(reply, now))
        except (ProtocolBroken, EngineStartFailed) as error:
            session.condemn(error, KillStep.KILL, now)

    def _check(self, running: _Running) -> None:
        session, process = running.session, running.process
        now = time.monotonic()
        step = session.check(now, self._queue.in_flight, process.last_sign_at)
        if step is None or session.verdict is None:
            return
        if step is KillStep.CANCEL:
            self._carry_out(self._queue.cancel_all(now))
            return
        if not self._replacing:
            self._fail_requests(session, session.verdict)
        if step is KillStep.TERMINATE:
            process.terminate()
        else:
            process.kill()

    def _check_load(self, load: protocol.LoadRequest) -> None:
        """Runs in a thread of its own: a drive may be slow."""
        found: LoadPlan | ErrorReport
        try:
            with HeaderProcess() as headers:
                found = checked_load(headers, load)
        except R1Error as error:
            found = error.report()
        except Exception as error:  # noqa: BLE001 - a load that nobody answers would wait for ever
            found = EngineFailed(detail=f"{type(error).__name__}: {error}").report()
        self._inbox.put(_LoadChecked(load.id, found))

    # ---- the process ------------------------------------------------------------------------

    def _current(self, process: ChildProcess) -> _Running | None:
        """The running process, if it is this one and not one before it."""
        running = self._running
        return running if running is not None and running.process is process else None

    def _start_if_needed(self) -> None:
        if self._queue.needs_engine and self._running is None:
            self._start()

    def _start(self) -> None:
        try:
            process = ChildProcess(
                self._command,
                engine_environment(),
                protocol.reply_adapter,
                self._inbox.put,
                start_options(),
            )
        except OSError as error:
            self._on_crash(SystemTooTight(detail=str(error)), None)
            return
        self._running = _Running(process, EngineSession(self._limits, time.monotonic()))
        log.host.info("engine process %d started", process.pid)

    def _fail_requests(self, session: EngineSession | None, error: R1Error) -> None:
        """Fail what the process had to do, once; later requests wait for the next process."""
        if session is not None:
            if session.lost:
                return
            session.lost = True
        self._carry_out(self._queue.on_engine_lost(error.report()))

    def _on_exit(self, exited: ProcessExited) -> None:
        process = exited.process
        process.close()
        running = self._current(process)
        if running is None:
            return
        self._running = None
        session = running.session
        if self._restarting:
            self._restarting = self._replacing = False
            self._fail_requests(session, _restarted())
            self._start()
        elif self._replacing:
            self._replacing = False
            self._start()
        else:
            cause = session.cause_of(exited.returncode, process.stderr, lingered=exited.lingered)
            self._on_crash(cause, session)

    def _on_crash(self, cause: R1Error, session: EngineSession | None) -> None:
        """Report an exit that was not asked for, and start again while the budget allows it."""
        log.host.warning("the engine ended: %s %s", type(cause).__name__, cause.facts)
        if not self._budget.record_crash(time.monotonic()):
            self._given_up = EngineKeepsDying(
                count=self._budget.count,
                minutes=round(self._budget.window_s / 60),
                detail=in_short(cause),
            ).report()
        self._publish(self._given_up or cause.report())  # before requests fail: they may ask why
        self._fail_requests(session, cause)
        if self._given_up is not None:
            self._carry_out(self._queue.on_engine_lost(self._given_up))
        self._start_if_needed()

    def _restart(self) -> None:
        self._budget.reset()
        self._given_up = None
        if self._running is None:
            self._start()
        else:
            self._restarting = True
            session = self._running.session
            session.condemn(_restarted(), KillStep.TERMINATE, time.monotonic())

    def _replace(self, running: _Running) -> None:
        """End a process that has nothing left to do; the next one is started when it is gone."""
        self._replacing = True
        running.process.send(frames.pack(protocol.ShutdownRequest(), frames.TO_CHILD_CAP))
        at = time.monotonic() + SHUTDOWN_S
        running.session.condemn(_restarted(), KillStep.KILL, at, silently=True)

    def _shut_down(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            process = running.process
            process.send(frames.pack(protocol.ShutdownRequest(), frames.TO_CHILD_CAP))
            if not self._wait_for_exit(process, SHUTDOWN_S):
                process.kill()
                self._wait_for_exit(process, KillStep.KILL.value)
            process.close()
        closing = EngineFailed(detail=tr("R1 Desk is closing"))
        self._carry_out(self._queue.on_engine_lost(closing.report()))

    def _wait_for_exit(self, process: ChildProcess, seconds: float) -> bool:
        """Drop frames until the process has exited; False where it has not."""
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            try:
                item = self._inbox.get(timeout=left_s)
            except queue.Empty:
                break
            if isinstance(item, FrameReceived):
                item.process.frame_handled()
            elif isinstance(item, ProcessExited) and item.process is process:
                return True
        return False

    # ---- the state --------------------------------------------------------------------------

    def _publish(self, report: ErrorReport | None = None) -> None:
        state = self._current_state()
        if state is not self._state or report is not None:
            self._state = state
            detail = report.text() if report is not None else ""
            self._notify(StateChanged(state, detail, report))

    def _current_state(self) -> EngineState:
        if self._given_up is not None:
            return EngineState.FAILED
        if self._replacing:
            return EngineState.LOADING
        if self._running is None or self._running.session.lost:
            return EngineState.STOPPED
        return self._queue.activity if self._running.session.ready else EngineState.STARTING


def checked_load(headers: HeaderProcess, load: protocol.LoadRequest) -> LoadPlan:
    """The plan of a load. Raises what the load would before it opens the model's files."""
    settings = load.settings
    header = headers.read_loadable(Path(load.path), settings.draft_model, load.chat_template)
    others = read_other_models(settings, header, headers.read_header)
    return plan_load(header, settings, planned_share(load.window_mib), others)


def _restarted() -> EngineFailed:
    return EngineFailed(detail=tr("it was restarted"))


def engine_environment(own: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of the engine's process, taken from `own` (default: this process's)."""
    passed = child_environment(own)
    passed["GGML_NO_BACKTRACE"] = "1"  # an abort must not start a debugger
    passed.update(wait_policy(passed))
    return passed


def start_options() -> dict[str, Any]:
    """Arguments of Popen that differ between systems.

    Elsewhere than on Windows the engine lowers its own priority.
    """
    options = background_options()
    if sys.platform == "win32":
        options["creationflags"] |= subprocess.BELOW_NORMAL_PRIORITY_CLASS
    return options
