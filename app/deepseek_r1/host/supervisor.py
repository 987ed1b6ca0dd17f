"""Starts the engine's process, feeds it, watches it, ends it, and starts it again.

`run()` does everything in the thread that calls it and calls `notify` only there. It sleeps until
something happens: a request, a frame, an end, or the time for the next check.
"""

from __future__ import annotations

import math
import queue
import time
from collections.abc import Callable, Mapping, Sequence

from deepseek_r1.core import log
from deepseek_r1.core.errors import (
    EngineFailed,
    EngineHung,
    EngineKeepsDying,
    EngineStartFailed,
    ErrorReport,
    ProtocolBroken,
    R1Error,
)
from deepseek_r1.core.words import tr
from deepseek_r1.host import environment, exits, protocol
from deepseek_r1.host.desk import Desk
from deepseek_r1.host.notices import EngineState, Notice, Restart, StateChanged
from deepseek_r1.host.process import Arrived, Broken, Ended, EngineProcess, News
from deepseek_r1.host.watch import HangLimits, Ladder, RestartBudget, Step, Watch

__all__ = ["EngineState", "Notice", "Restart", "StateChanged", "Supervisor"]

GOODBYE_S = 1.0  # what a process gets to end by itself when everything ends


class Supervisor:
    """Keeps at most one engine process. Nothing is started before the first request."""

    def __init__(
        self,
        notify: Callable[[Notice], None],
        *,
        command: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        limits: HangLimits | None = None,
        budget: RestartBudget | None = None,
    ) -> None:
        self._notify = notify
        self._command = list(command or environment.engine_command())
        self._env = env
        self._limits = limits or HangLimits()
        self._budget = budget or RestartBudget()
        self._inbox: queue.SimpleQueue[protocol.Request | Restart | News] = queue.SimpleQueue()
        self._desk = Desk(self._send, notify, self._limits.cancel_s)
        self._state = EngineState.STOPPED
        self._stopping = False
        self._given_up: ErrorReport | None = None
        self._process: EngineProcess | None = None
        self._greeted = False
        self._restarting = False
        self._watch = Watch(self._limits, 0.0)
        self._ladder: Ladder | None = None
        self._loop_moved_at = 0.0

    # ---- any thread -------------------------------------------------------------------------

    def post(self, request: protocol.Request | Restart) -> None:
        """Hand a request over. Never blocks; the answer comes through `notify`."""
        self._inbox.put(request)

    def request_stop(self) -> None:
        """End the process and then `run()`."""
        self._inbox.put(protocol.Shutdown())

    # ---- the thread of run() ----------------------------------------------------------------

    def run(self) -> None:
        """Serve until `request_stop()`. No process is left behind, whatever happens."""
        try:
            while not self._stopping:
                try:
                    item = self._inbox.get(timeout=self._patience())
                except queue.Empty:
                    pass
                else:
                    self._handle(item)
                self._check(time.monotonic())
                self._publish()
        finally:
            self._say_goodbye()
        self._publish()

    def _patience(self) -> float | None:
        """Seconds until something has to be checked; None for as long as it takes."""
        if self._process is None:
            return None
        if self._ladder is not None:
            due_at = self._ladder.due_at
        else:
            due_at = min(self._watch.next_at, self._desk.ledger.next_deadline or math.inf)
        return max(0.0, due_at - time.monotonic())

    def _handle(self, item: protocol.Request | Restart | News) -> None:
        match item:
            case Arrived(process, reply):
                process.handled()
                if process is self._process:
                    self._hear(reply)
            case Broken(process, error):
                if process is self._process:
                    self._condemn(error, Step.KILL)
            case Ended():
                self._bury(item)
            case protocol.Shutdown():
                self._stopping = True
            case Restart():
                self._restart()
            case protocol.Cancel():
                self._desk.cancel(item.id)
            case _ if self._given_up is not None:
                self._desk.fail(item.id, self._given_up)
            case _:
                self._desk.take(item)
                if self._desk.wants_engine and self._process is None:
                    self._start()

    # ---- one process's life -----------------------------------------------------------------

    def _start(self) -> None:
        self._greeted = False
        self._ladder = None
        try:
            env = environment.engine_environment() if self._env is None else self._env
            self._process = EngineProcess(self._command, env, self._inbox.put)
        except OSError as error:
            self._mourn(EngineStartFailed(detail=str(error)))
            return
        self._watch = Watch(self._limits, time.monotonic())
        log.host.info("engine process %d started", self._process.pid)

    def _hear(self, reply: protocol.Reply) -> None:
        """Take a frame. Of a process that is being ended only the answer to Cancel counts."""
        if self._ladder is not None and self._ladder.step is not Step.CANCEL:
            return
        try:
            if isinstance(reply, protocol.Hello):
                self._greet(reply)
            elif not self._greeted:
                raise ProtocolBroken(detail=tr("It spoke before its greeting."))
            elif isinstance(reply, protocol.Beat):
                self._feel(reply)
            else:
                self._desk.reply(reply)
        except ProtocolBroken as error:
            self._condemn(error, Step.KILL)

    def _greet(self, hello: protocol.Hello) -> None:
        if self._greeted:
            raise ProtocolBroken(detail=tr("It greeted twice."))
        if hello.version != protocol.VERSION:
            detail = tr(
                "It speaks version {theirs} of the protocol, this application version {ours}.",
                theirs=hello.version,
                ours=protocol.VERSION,
            )
            self._condemn(EngineStartFailed(detail=detail), Step.KILL)
            return
        self._greeted = True
        self._notify(hello)
        self._desk.engine_up()

    def _feel(self, beat: protocol.Beat) -> None:
        if beat.phase is not protocol.Phase.IDLE:
            self._loop_moved_at = time.monotonic() - beat.idle_s
        self._notify(beat)

    def _send(self, request: protocol.AnsweredRequest | protocol.Cancel) -> None:
        if self._process is not None:
            self._process.send(request)

    def _check(self, now: float) -> None:
        process, ledger = self._process, self._desk.ledger
        if process is None:
            return
        if self._ladder is not None:
            self._climb(process, now)
        elif (late := ledger.overdue(now)) is not None:
            self._condemn(EngineHung(seconds=round(now - late.sent_at)), Step.TERMINATE)
        elif not self._greeted and now - self._watch.started_at > self._limits.start_s:
            detail = tr("It gave no sign within {seconds} seconds.", seconds=self._limits.start_s)
            self._condemn(EngineStartFailed(detail=detail), Step.TERMINATE)
        elif now >= self._watch.next_at:
            moved_at = ledger.moved_at
            if moved_at is not None:
                moved_at = max(moved_at, self._loop_moved_at)
            silent_s = self._watch.hung_for(now, process.last_sign_at, moved_at)
            if silent_s is not None:
                beats = now - process.last_sign_at <= self._limits.beats_s
                verdict = EngineHung(seconds=round(silent_s))
                self._condemn(verdict, Step.CANCEL if beats else Step.TERMINATE)

    def _condemn(self, verdict: R1Error, first: Step) -> None:
        """Begin to end the process for the reason given; a first verdict stands."""
        log.host.warning("ending the engine: %s", type(verdict).__name__)
        if self._ladder is None or self._ladder.step is Step.CANCEL:
            self._ladder = Ladder(verdict, first, due_at=time.monotonic())

    def _climb(self, process: EngineProcess, now: float) -> None:
        ladder = self._ladder
        if ladder is None:
            return
        if ladder.step is Step.CANCEL and not self._desk.ledger:
            self._ladder = None  # it obeyed: it is not stuck
            return
        if now < ladder.due_at:
            return
        match ladder.climb(now):
            case Step.CANCEL:
                self._desk.cancel_all()
            case Step.TERMINATE:
                process.terminate()
            case Step.KILL:
                process.kill()

    def _bury(self, end: Ended) -> None:
        end.process.close()
        if end.process is not self._process:
            return
        self._process = None
        if self._restarting:
            self._restarting = False
            self._desk.engine_gone(EngineFailed(detail=tr("it was started anew")).report())
            self._start()
        elif self._ladder is not None:
            self._mourn(self._ladder.verdict)
        elif end.lingered:
            self._mourn(ProtocolBroken(detail=tr("It closed its pipe and did not end.")))
        else:
            cause = exits.classify(end.returncode, end.process.stderr)
            self._mourn(cause if self._greeted else EngineStartFailed(detail=str(cause)))

    def _mourn(self, cause: R1Error) -> None:
        """The engine is gone and was not meant to be."""
        log.host.warning("the engine ended: %s %s", type(cause).__name__, cause.facts)
        self._process = self._ladder = None
        report = cause.report()
        self._desk.engine_gone(report)
        if not self._budget.died(time.monotonic()):
            report = self._given_up = EngineKeepsDying(
                count=self._budget.count,
                minutes=round(self._budget.window_s / 60),
                detail=str(cause),
            ).report()
        self._publish(report)

    def _restart(self) -> None:
        self._budget.reset()
        self._given_up = None
        if self._process is None:
            self._start()
        else:
            self._restarting = True
            self._condemn(EngineFailed(detail=tr("it was started anew")), Step.TERMINATE)

    def _say_goodbye(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send(protocol.Shutdown())
            if not self._wait_for_end(process, GOODBYE_S):
                process.kill()
                self._wait_for_end(process, Step.KILL.value)
            process.close()
        self._desk.engine_gone(EngineFailed(detail=tr("the application is closing")).report())

    def _wait_for_end(self, process: EngineProcess, seconds: float) -> bool:
        """Let frames pass until the process is gone; False where it is not."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                item = self._inbox.get(timeout=left)
            except queue.Empty:
                break
            if isinstance(item, Arrived):
                item.process.handled()
            elif isinstance(item, Ended) and item.process is process:
                return True
        return False

    # ---- what the owner sees ----------------------------------------------------------------

    def _publish(self, report: ErrorReport | None = None) -> None:
        state = self._current_state()
        if state is not self._state or report is not None:
            self._state = state
            detail = report.text() if report is not None else ""
            self._notify(StateChanged(state, detail, report))

    def _current_state(self) -> EngineState:
        if self._given_up is not None:
            return EngineState.FAILED
        if self._process is None:
            return EngineState.STOPPED
        return self._desk.activity if self._greeted else EngineState.STARTING
