"""Starts the engine's process, feeds it, watches it, ends it, and starts it again.

`run()` does everything in the thread that calls it and calls `notify` only there. It sleeps until
something happens: a request, a frame, an end, or the time for the next check.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping, Sequence

from deepseek_r1.core import log
from deepseek_r1.core.errors import (
    EngineFailed,
    EngineKeepsDying,
    EngineStartFailed,
    ErrorReport,
    R1Error,
)
from deepseek_r1.core.words import tr
from deepseek_r1.host import environment, exits, protocol
from deepseek_r1.host.desk import Desk
from deepseek_r1.host.life import Life
from deepseek_r1.host.notices import EngineState, Notice, Restart, StateChanged
from deepseek_r1.host.process import Arrived, Broken, Ended, EngineProcess, News
from deepseek_r1.host.watch import HangLimits, RestartBudget, Step

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
        self._life: Life | None = None
        self._restarting = False

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
                self._handle_next()
                if self._life is not None:
                    self._life.look(time.monotonic())
                self._publish()
        finally:
            self._say_goodbye()
        self._publish()

    def _handle_next(self) -> None:
        """Wait for the next thing to happen, but not beyond the next look at the process."""
        patience = None
        if self._life is not None:
            patience = max(0.0, self._life.next_look_at - time.monotonic())
        try:
            item = self._inbox.get(timeout=patience)
        except queue.Empty:
            return
        self._handle(item)

    def _handle(self, item: protocol.Request | Restart | News) -> None:
        match item:
            case Arrived(process, reply):
                process.handled()
                if life := self._life_of(process):
                    life.hear(reply)
            case Broken(process, error):
                if life := self._life_of(process):
                    life.condemn(error, Step.KILL)
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
                self._start_if_wanted()

    # ---- one process's life -----------------------------------------------------------------

    def _life_of(self, process: EngineProcess) -> Life | None:
        """The present life, if it is this process's and not one before it."""
        return self._life if self._life is not None and self._life.process is process else None

    def _start_if_wanted(self) -> None:
        if self._desk.wants_engine and self._life is None:
            self._start()

    def _start(self) -> None:
        env = environment.engine_environment() if self._env is None else self._env
        try:
            process = EngineProcess(self._command, env, self._inbox.put)
        except OSError as error:
            self._mourn(EngineStartFailed(detail=str(error)), None)
            return
        self._life = Life(process, self._desk, self._limits, self._notify)
        log.host.info("engine process %d started", process.pid)

    def _send(self, request: protocol.AnsweredRequest | protocol.Cancel) -> None:
        if self._life is not None:
            self._life.process.send(request)

    def _bury(self, end: Ended) -> None:
        end.process.close()
        life = self._life_of(end.process)
        if life is None:
            return
        self._life = None
        if self._restarting:
            self._restarting = False
            life.lose(_started_anew().report())
            self._start()
        else:
            self._mourn(life.cause_of(end), life)

    def _mourn(self, cause: R1Error, life: Life | None) -> None:
        """The engine is gone and was not meant to be: is it worth another one?"""
        log.host.warning("the engine ended: %s %s", type(cause).__name__, cause.facts)
        if not self._budget.died(time.monotonic()):
            self._given_up = EngineKeepsDying(
                count=self._budget.count,
                minutes=round(self._budget.window_s / 60),
                detail=exits.in_short(cause),
            ).report()
        self._publish(self._given_up or cause.report())  # first: a failure may be asked about it
        if life is None:
            self._desk.engine_gone(cause.report())
        else:
            life.lose(cause.report())
        if self._given_up is not None:
            self._desk.engine_gone(self._given_up)
        self._start_if_wanted()

    def _restart(self) -> None:
        self._budget.reset()
        self._given_up = None
        if self._life is None:
            self._start()
        else:
            self._restarting = True
            self._life.condemn(_started_anew(), Step.TERMINATE)

    def _say_goodbye(self) -> None:
        life, self._life = self._life, None
        if life is not None:
            process = life.process
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
        if self._life is None or self._life.lost:
            return EngineState.STOPPED
        return self._desk.activity if self._life.greeted else EngineState.STARTING


def _started_anew() -> EngineFailed:
    return EngineFailed(detail=tr("it was started anew"))
