"""Watches one engine process: its handshake, its heartbeats, its deadlines, and how it is ended.

The session decides and the supervisor acts: it knows neither the process nor the request queue.
"""

from __future__ import annotations

import math

from deepseek_r1.core import log
from deepseek_r1.core.errors import (
    EngineHung,
    EngineStartFailed,
    ProtocolBroken,
    R1Error,
)
from deepseek_r1.core.i18n import tr
from deepseek_r1.host import exit_causes, protocol
from deepseek_r1.host.in_flight import InFlightRequests
from deepseek_r1.host.watchdog import (
    HangLimits,
    KillLadder,
    KillStep,
    Watchdog,
)


class EngineSession:
    """Lasts from a process's start to its end. Times are monotonic seconds."""

    def __init__(self, limits: HangLimits, now: float) -> None:
        self.ready = False  # its handshake was accepted
        self.lost = False  # its requests have been failed
        self._limits = limits
        self._watchdog = Watchdog(limits, now)
        self._ladder: KillLadder | None = None
        self._loop_moved_at = 0.0

    # ---- frames -----------------------------------------------------------------------------

    @property
    def accepts_frames(self) -> bool:
        """False while the process is ended; only an answer to a cancel counts until then."""
        return self._ladder is None or self._ladder.step is KillStep.CANCEL

    def check_order(self, reply: protocol.Reply, now: float) -> None:
        """Accept the handshake as the first frame and only there.

        Raises ProtocolBroken, or EngineStartFailed for another version of the protocol.
        """
        if not isinstance(reply, protocol.Handshake):
            if not self.ready:
                raise ProtocolBroken(detail=tr("It sent a message before its handshake."))
            return
        if self.ready:
            raise ProtocolBroken(detail=tr("It sent a second handshake."))
        if reply.version != protocol.VERSION:
            detail = tr(
                "It uses version {theirs} of the protocol, this application version {ours}.",
                theirs=reply.version,
                ours=protocol.VERSION,
            )
            raise EngineStartFailed(detail=detail)
        self.ready = True
        self._watchdog = Watchdog(self._limits, now)

    def on_heartbeat(self, heartbeat: protocol.Heartbeat, now: float) -> None:
        """Note when the engine's loop last moved."""
        if heartbeat.phase is not protocol.EnginePhase.IDLE:
            self._loop_moved_at = now - heartbeat.idle_s

    # ---- watching ---------------------------------------------------------------------------

    def next_check_at(self, in_flight: InFlightRequests) -> float:
        """The earliest time at which `check` has something to do."""
        if self._ladder is not None:
            return self._ladder.due_at
        if not self.ready:
            return self._watchdog.started_at + self._limits.start_s
        return min(self._watchdog.next_at, in_flight.next_deadline or math.inf)

    def check(
        self, now: float, in_flight: InFlightRequests, last_sign_at: float
    ) -> KillStep | None:
        """Look for a late request or a hang; the step to take now to end the process, if any.

        `last_sign_at` is when a frame came last, or since when the process takes none of ours.
        """
        if self._ladder is not None:
            return self._climb(self._ladder, now, in_flight)
        if (late := in_flight.overdue(now)) is not None:
            self.condemn(EngineHung(seconds=round(now - late.sent_at)), KillStep.TERMINATE, now)
        elif not self.ready:
            if now >= self._watchdog.started_at + self._limits.start_s:
                seconds = self._limits.start_s
                detail = tr("It gave no sign within {seconds} seconds.", seconds=seconds)
                self.condemn(EngineStartFailed(detail=detail), KillStep.TERMINATE, now)
        elif now >= self._watchdog.next_at:
            self._check_silence(now, in_flight.moved_at, last_sign_at)
        return None

    def _check_silence(self, now: float, moved_at: float | None, last_sign_at: float) -> None:
        if moved_at is not None:
            moved_at = max(moved_at, self._loop_moved_at)
        silent_s = self._watchdog.hung_for(now, last_sign_at, moved_at)
        if silent_s is not None:
            responsive = now - last_sign_at <= self._limits.beats_s
            first = KillStep.CANCEL if responsive else KillStep.TERMINATE
            self.condemn(EngineHung(seconds=round(silent_s)), first, now)

    # ---- ending -----------------------------------------------------------------------------

    def condemn(
        self, verdict: R1Error, first: KillStep, now: float, *, silently: bool = False
    ) -> None:
        """Begin to end the process at `now` for the reason given. The first verdict stands.

        `silently`: its end is planned, not a fault.
        """
        if not silently:
            log.host.warning("ending the engine: %s", type(verdict).__name__)
        if self._ladder is None or self._ladder.step is KillStep.CANCEL:
            self._ladder = KillLadder(verdict, first, due_at=now)

    @property
    def verdict(self) -> R1Error | None:
        """Why the process is being ended; None where it is not."""
        return self._ladder.verdict if self._ladder is not None else None

    def _climb(
        self, ladder: KillLadder, now: float, in_flight: InFlightRequests
    ) -> KillStep | None:
        if ladder.step is KillStep.CANCEL and not in_flight:
            self._ladder = None  # it obeyed: it is not stuck
            return None
        return ladder.climb(now) if now >= ladder.due_at else None

    def cause_of(self, returncode: int, stderr: str, *, lingered: bool) -> R1Error:
        """Why the process ended: our verdict, or its exit code and the end of its stderr."""
        if self._ladder is not None:
            return self._ladder.verdict
        if lingered:
            return ProtocolBroken(detail=tr("It closed its pipe and did not end."))
        cause = exit_causes.classify(returncode, stderr)
        return cause if self.ready else EngineStartFailed(detail=exit_causes.in_short(cause))
