"""Watches one engine process: handshake, heartbeats, deadlines, how it is ended and restarted.

The session decides and the supervisor acts: it knows neither the process nor the request queue.
All of it is arithmetic on a monotonic clock.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import dropwhile

from deepseek_r1.core import log
from deepseek_r1.core.child_process import signal_name
from deepseek_r1.core.errors import (
    EngineDied,
    EngineHung,
    EngineOutOfMemory,
    EngineStartFailed,
    ProtocolBroken,
    R1Error,
    SystemTooTight,
)
from deepseek_r1.core.i18n import N_, join_sentences, tr
from deepseek_r1.host import protocol
from deepseek_r1.host.in_flight import InFlightRequests

GAP_S = 3.0  # a check that is this late means that the owner itself was suspended


@dataclass(frozen=True, slots=True)
class HangLimits:
    """Seconds of silence after which the engine counts as hung."""

    beats_s: float = 10.0  # no frame arrives, or one of ours is not read
    loop_s: float = 60.0  # heartbeats arrive, but the loop does not move during a request
    start_s: float = 30.0  # no handshake
    cancel_s: float = 30.0  # a cancelled request that does not end, on a busy computer too
    check_s: float = 1.0  # between two checks while a request is open
    check_idle_s: float = 3.0  # and otherwise


class Watchdog:
    """Measures one process's silence. Call `hung_for` at `next_at`.

    A machine that slept, or an owner that was itself delayed, must not mistake its own absence for
    the other's silence. Hence two rules: silence is counted from the owner's last long gap on, and
    only two missed checks in a row count.
    """

    def __init__(self, limits: HangLimits, started_at: float) -> None:
        self.limits, self.started_at = limits, started_at
        self.next_at = started_at + limits.check_s
        self._awake_since, self._missed = started_at, 0

    def hung_for(self, now: float, last_sign_at: float, moved_at: float | None) -> float | None:
        """Seconds of silence once it is certain, else None.

        `last_sign_at` is the time of the last frame, or since when one of ours is not read;
        `moved_at` the time the loop last moved, or None where no request is open.
        """
        if now > self.next_at + GAP_S:
            self._awake_since = now
        silent_s = now - max(last_sign_at, self._awake_since)
        still_s = 0.0 if moved_at is None else now - max(moved_at, self._awake_since)
        over = silent_s > self.limits.beats_s or still_s > self.limits.loop_s
        self._missed = self._missed + 1 if over else 0
        idle = moved_at is None and not over
        self.next_at = now + (self.limits.check_idle_s if idle else self.limits.check_s)
        return max(silent_s, still_s) if self._missed >= 2 else None


class KillStep(Enum):
    """The ways to end the engine's work, each with the seconds it gets to take effect."""

    CANCEL = 2.0
    TERMINATE = 1.0
    KILL = 5.0


@dataclass(slots=True)
class RestartBudget:
    """Limits how often the engine is started again after crashes, within a window of time."""

    restarts: int = 3
    window_s: float = 300.0
    _crashes: list[float] = field(default_factory=list, init=False)

    def record_crash(self, now: float) -> bool:
        """Record a crash; False where it exceeds the budget."""
        self._crashes = [*(at for at in self._crashes if now - at <= self.window_s), now]
        return len(self._crashes) <= self.restarts

    @property
    def count(self) -> int:
        return len(self._crashes)

    def reset(self) -> None:
        self._crashes.clear()


class EngineSession:
    """Lasts from a process's start to its end."""

    def __init__(self, limits: HangLimits, now: float) -> None:
        self.ready = False  # its handshake was accepted
        self.lost = False  # its requests have been failed
        self._limits = limits
        self._watchdog = Watchdog(limits, now)
        self.verdict: R1Error | None = None  # why the process is being ended, if it is
        self._steps: Iterator[KillStep] = iter(())  # that are left to end it
        self._step: KillStep | None = None  # the last one that was taken
        self._due_at = 0.0  # of the next one
        self._loop_moved_at = 0.0

    # ---- frames -----------------------------------------------------------------------------

    @property
    def accepts_frames(self) -> bool:
        """False while the process is ended; only an answer to a cancel counts until then."""
        return self.verdict is None or self._step is KillStep.CANCEL

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
                "It uses version {theirs} of the protocol, R1 Desk uses version {ours}.",
                theirs=reply.version,
                ours=protocol.VERSION,
            )
            raise EngineStartFailed(detail=detail)
        self.ready = True
        self._watchdog = Watchdog(self._limits, now)

    def on_heartbeat(self, heartbeat: protocol.Heartbeat, now: float) -> None:
        if heartbeat.phase is not protocol.EnginePhase.IDLE:
            self._loop_moved_at = now - heartbeat.idle_s

    # ---- watching ---------------------------------------------------------------------------

    def next_check_at(self, in_flight: InFlightRequests) -> float:
        """The earliest time at which `check` has something to do."""
        if self.verdict is not None:
            return self._due_at
        if not self.ready:
            return self._watchdog.started_at + self._limits.start_s
        return min(self._watchdog.next_at, in_flight.next_deadline or math.inf)

    def check(
        self, now: float, in_flight: InFlightRequests, last_sign_at: float
    ) -> KillStep | None:
        """Look for a late request or a hang; the step to take now to end the process, if any.

        `last_sign_at` is when a frame came last, or since when the process takes none of ours.
        """
        if self.verdict is not None:
            return self._climb(now, in_flight)
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
        if self.verdict is None or self._step is KillStep.CANCEL:
            self.verdict, self._step, self._due_at = verdict, None, now
            self._steps = dropwhile(lambda step: step is not first, KillStep)

    def _climb(self, now: float, in_flight: InFlightRequests) -> KillStep | None:
        """The next step, once it is due; after the last one that one again."""
        if self._step is KillStep.CANCEL and not in_flight:
            self.verdict = self._step = None  # it obeyed: it is not stuck
        elif now >= self._due_at:
            self._step = next(self._steps, KillStep.KILL)
            self._due_at = now + self._step.value
            return self._step
        return None

    def cause_of(self, returncode: int, stderr: str, *, lingered: bool) -> R1Error:
        """Why the process ended: our verdict, or its exit code and the end of its stderr."""
        if self.verdict is not None:
            return self.verdict
        if lingered:
            return ProtocolBroken(detail=tr("It closed its pipe and did not end."))
        cause = classify(returncode, stderr)
        known = self.ready or isinstance(cause, EngineStartFailed)
        return cause if known else EngineStartFailed(detail=in_short(cause))


# Windows reports a fault as an NTSTATUS exit code.
_WINDOWS_FAULTS = {
    0xC0000005: "SIGSEGV",
    0xC000001D: "SIGILL",
    0xC0000006: "SIGBUS",
    0xC0000094: "SIGFPE",
    0xC00000FD: "SIGSEGV",
    0xC0000374: "abort",
    0xC0000409: "abort",
    0x40000015: "abort",
}
_WINDOWS_ABORT = 3  # the C runtime's, where a handler has written its trace
_WINDOWS_OUT_OF_MEMORY = {0xC0000017, 0xC000012D, 0xC000009A}

_MEANINGS = {
    "abort": N_("It reached a state from which it cannot go on."),
    "SIGSEGV": N_("It used memory that is not its own."),
    "SIGBUS": N_("A file it was reading went away or became shorter."),
    "SIGILL": N_("This processor lacks an instruction that the engine was built for."),
    "SIGFPE": N_("It met an impossible calculation."),
    "SIGTERM": N_("Another program asked it to end."),
}

# Python's crash trace, a debugger's output and stack frames do not help a reader.
_NOISE = re.compile(
    r"^(\s+(?!\s|what\(\))|#\d|\[New LWP|\[Thread|Thread 0x|Current thread 0x|Extension modules:"
    r"|0x[0-9a-f]+ in|Aborted|Segmentation fault|Traceback |warning: )"
)
_SIGNIFICANT = re.compile(r"assert|error|fail|abort|terminate|what\(\):|exception|invalid", re.I)
_SENTENCE_CHARACTERS = 400
_LIMITS = ("can't start new thread", "Too many open files", "Resource temporarily unavailable")


def classify(returncode: int, stderr: str) -> R1Error:
    """The error to show for a process's unexpected exit."""
    how = _exit_name(returncode, stderr)
    if how == "SIGKILL" or returncode & 0xFFFFFFFF in _WINDOWS_OUT_OF_MEMORY:
        return EngineOutOfMemory(how=how)
    text = last_error_line(stderr)
    if is_limit(text):
        return SystemTooTight(detail=text)
    if not text:
        text = tr(_MEANINGS[how]) if how in _MEANINGS else tr("It left no message.")
    return EngineDied(how=how, detail=text if text.endswith((".", "!", "。")) else f"{text}.")


def is_limit(text: str) -> bool:
    """Whether an error is that the system gives no more threads, processes or files."""
    return any(each in text for each in _LIMITS)


def in_short(error: R1Error) -> str:
    """The error's first two sentences, for a message that has its own advice."""
    what, why, _ = error.sentences()
    return join_sentences((what, why))


def last_error_line(stderr: str) -> str:
    """The last significant line of standard error; empty where there is none."""
    before_trace = stderr.split("Fatal Python error:", 1)[0]
    lines = [line.strip() for line in before_trace.splitlines() if not _NOISE.match(line)]
    lines = ["".join(c if c.isprintable() else " " for c in line) for line in lines if line]
    significant = [line for line in lines if _SIGNIFICANT.search(line)]
    return (significant or lines or [""])[-1][:_SENTENCE_CHARACTERS]


def _exit_name(returncode: int, stderr: str) -> str:
    """A signal's name, "abort", or "exit code N"."""
    if returncode < 0:
        name = signal_name(returncode)
        return "abort" if name == "SIGABRT" else name
    fault = _WINDOWS_FAULTS.get(returncode)
    if returncode == _WINDOWS_ABORT and "Fatal Python error: Aborted" in stderr:
        fault = "abort"  # a program of its own may end with that code, too
    return fault or tr("exit code {code}", code=returncode)
