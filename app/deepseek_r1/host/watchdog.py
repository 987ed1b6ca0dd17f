"""Decides when a silent process is hung and how it is ended. Arithmetic on a monotonic clock.

A machine that slept, or an owner that was itself delayed, must not mistake its own absence for the
other's silence. Hence two rules: silence is counted from the owner's last long gap on, and only
two missed checks in a row count.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from itertools import dropwhile

from deepseek_r1.core.errors import R1Error

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


@dataclass(slots=True)
class Watchdog:
    """Measures one process's silence. Call `hung_for` at `next_at`."""

    limits: HangLimits
    started_at: float
    next_at: float = field(init=False)
    _awake_since: float = field(init=False)
    _missed: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._awake_since = self.started_at
        self.next_at = self.started_at + self.limits.check_s

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


class KillLadder:
    """The steps by which a process is ended, from the first one chosen to the last."""

    def __init__(self, verdict: R1Error, first: KillStep, due_at: float) -> None:
        self.verdict, self.due_at = verdict, due_at
        self.step: KillStep | None = None
        self._steps = dropwhile(lambda step: step is not first, KillStep)

    def climb(self, now: float) -> KillStep:
        """The step to take now; `due_at` moves to the next one's time."""
        self.step = next(self._steps, KillStep.KILL)
        self.due_at = now + self.step.value
        return self.step


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
        """The crashes within the window."""
        return len(self._crashes)

    def reset(self) -> None:
        """Clear the record of crashes."""
        self._crashes.clear()
