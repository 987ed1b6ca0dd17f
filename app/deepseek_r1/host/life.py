"""One engine process from its greeting to its end: what it says, how it is watched and ended."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from deepseek_r1.core import log
from deepseek_r1.core.errors import (
    EngineHung,
    EngineStartFailed,
    ErrorReport,
    ProtocolBroken,
    R1Error,
)
from deepseek_r1.core.words import tr
from deepseek_r1.host import exits, protocol
from deepseek_r1.host.desk import Desk
from deepseek_r1.host.process import Ended, EngineProcess
from deepseek_r1.host.watch import HangLimits, Ladder, Step, Watch


class Life:
    """Belongs to the supervisor's thread, as the desk does whose requests the process serves."""

    def __init__(
        self,
        process: EngineProcess,
        desk: Desk,
        limits: HangLimits,
        notify: Callable[[protocol.Hello | protocol.Beat], None],
    ) -> None:
        self.process = process
        self.greeted = False
        self.lost = False  # the desk was told that the process is no more
        self._desk = desk
        self._limits = limits
        self._notify = notify
        self._watch = Watch(limits, time.monotonic())
        self._ladder: Ladder | None = None
        self._loop_moved_at = 0.0

    # ---- what it says -----------------------------------------------------------------------

    def hear(self, reply: protocol.Reply) -> None:
        """Take a frame. Of a process that is being ended only the answer to Cancel counts."""
        if self._ladder is not None and self._ladder.step is not Step.CANCEL:
            return
        try:
            if isinstance(reply, protocol.Hello):
                self._greet(reply)
            elif not self.greeted:
                raise ProtocolBroken(detail=tr("It spoke before its greeting."))
            elif isinstance(reply, protocol.Beat):
                self._feel(reply)
            else:
                self._desk.reply(reply)
        except ProtocolBroken as error:
            self.condemn(error, Step.KILL)

    def _greet(self, hello: protocol.Hello) -> None:
        if self.greeted:
            raise ProtocolBroken(detail=tr("It greeted twice."))
        if hello.version != protocol.VERSION:
            detail = tr(
                "It speaks version {theirs} of the protocol, this application version {ours}.",
                theirs=hello.version,
                ours=protocol.VERSION,
            )
            self.condemn(EngineStartFailed(detail=detail), Step.KILL)
            return
        self.greeted = True
        self._watch = Watch(self._limits, time.monotonic())
        self._notify(hello)
        self._desk.engine_up()

    def _feel(self, beat: protocol.Beat) -> None:
        if beat.phase is not protocol.Phase.IDLE:
            self._loop_moved_at = time.monotonic() - beat.idle_s
        self._notify(beat)

    # ---- how it is watched ------------------------------------------------------------------

    @property
    def next_look_at(self) -> float:
        """When `look` has something to do at the earliest."""
        if self._ladder is not None:
            return self._ladder.due_at
        if not self.greeted:
            return self._watch.started_at + self._limits.start_s
        return min(self._watch.next_at, self._desk.ledger.next_deadline or math.inf)

    def look(self, now: float) -> None:
        """See whether it is late or hung, and take the next step where it is to be ended."""
        if self._ladder is not None:
            self._climb(self._ladder, now)
        elif (late := self._desk.ledger.overdue(now)) is not None:
            self.condemn(EngineHung(seconds=round(now - late.sent_at)), Step.TERMINATE)
        elif not self.greeted:
            if now >= self._watch.started_at + self._limits.start_s:
                seconds = self._limits.start_s
                detail = tr("It gave no sign within {seconds} seconds.", seconds=seconds)
                self.condemn(EngineStartFailed(detail=detail), Step.TERMINATE)
        elif now >= self._watch.next_at:
            self._listen(now)

    def _listen(self, now: float) -> None:
        moved_at = self._desk.ledger.moved_at
        if moved_at is not None:
            moved_at = max(moved_at, self._loop_moved_at)
        heard_at = self.process.last_sign_at
        silent_s = self._watch.hung_for(now, heard_at, moved_at)
        if silent_s is not None:
            listens = now - heard_at <= self._limits.beats_s
            first = Step.CANCEL if listens else Step.TERMINATE
            self.condemn(EngineHung(seconds=round(silent_s)), first)

    # ---- how it is ended --------------------------------------------------------------------

    def condemn(self, verdict: R1Error, first: Step) -> None:
        """Begin to end the process for the reason given. The first verdict stands."""
        log.host.warning("ending the engine: %s", type(verdict).__name__)
        if self._ladder is None or self._ladder.step is Step.CANCEL:
            self._ladder = Ladder(verdict, first, due_at=time.monotonic())

    def _climb(self, ladder: Ladder, now: float) -> None:
        if ladder.step is Step.CANCEL and not self._desk.ledger:
            self._ladder = None  # it obeyed: it is not stuck
        elif now >= ladder.due_at:
            match ladder.climb(now):
                case Step.CANCEL:
                    self._desk.cancel_all()
                case Step.TERMINATE:
                    self.lose(ladder.verdict.report())
                    self.process.terminate()
                case Step.KILL:
                    self.lose(ladder.verdict.report())
                    self.process.kill()

    def lose(self, report: ErrorReport) -> None:
        """Fail what the process had to do, once; what is asked later waits for the next one."""
        if not self.lost:
            self.lost = True
            self._desk.engine_gone(report)

    def cause_of(self, end: Ended) -> R1Error:
        """Why it ended: our verdict, or what its exit code and its last words say."""
        if self._ladder is not None:
            return self._ladder.verdict
        if end.lingered:
            return ProtocolBroken(detail=tr("It closed its pipe and did not end."))
        cause = exits.classify(end.returncode, end.process.stderr)
        return cause if self.greeted else EngineStartFailed(detail=exits.in_short(cause))
