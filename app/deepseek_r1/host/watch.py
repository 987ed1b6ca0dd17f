"""When is a silent process hung, and what is done about it? Arithmetic on a monotonic clock.

A machine that slept, or an owner that was itself held up, must not take its own absence for the
other's silence. Hence two rules: silence is counted from the owner's last long gap on, and only
two missed checks in a row count.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from deepseek_r1.core.errors import R1Error

GAP_S = 3.0  # a check that is this late means that the owner itself was away


@dataclass(frozen=True, slots=True)
class HangLimits:
    """Seconds of silence after which the engine counts as hung."""

    beats_s: float = 10.0  # no frame at all, or a frame that it does not take
    loop_s: float = 60.0  # beats come, but the loop does not move while a request is open
    start_s: float = 30.0  # no greeting
    cancel_s: float = 10.0  # a cancelled request that does not end
    check_s: float = 1.0  # between two checks while a request is open
    check_idle_s: float = 3.0  # and otherwise


@dataclass(slots=True)
class Watch:
    """Judges one process's silence. Ask `hung_for` at `next_at`."""

    limits: HangLimits
    started_at: float
    next_at: float = field(init=False)
    _awake_since: float = field(init=False)
    _missed: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._awake_since = self.started_at
        self.next_at = self.started_at + self.limits.check_s

    def hung_for(self, now: float, heard_at: float, moved_at: float | None) -> float | None:
        """Seconds of silence once it is certain, else None.

        `heard_at` is the time of the last frame, or since when one of ours is not taken; `moved_at`
        the loop's last sign of life, or None where no request is open.
        """
        if now > self.next_at + GAP_S:
            self._awake_since = now
        silent_s = now - max(heard_at, self._awake_since)
        still_s = 0.0 if moved_at is None else now - max(moved_at, self._awake_since)
        over = silent_s > self.limits.beats_s or still_s > self.limits.loop_s
        self._missed = self._missed + 1 if over else 0
        idle = moved_at is None and not over
        self.next_at = now + (self.limits.check_idle_s if idle else self.limits.check_s)
        return max(silent_s, still_s) if self._missed >= 2 else None


class Step(Enum):
    """Ways to end what the engine does, each with the seconds it gets to take effect."""

    CANCEL = 2.0
    TERMINATE = 1.0
    KILL = 5.0


@dataclass(slots=True)
class Ladder:
    """The steps by which a process is ended, from the first one chosen to the last."""

    verdict: R1Error
    first: Step
    due_at: float
    step: Step | None = field(default=None, init=False)

    def climb(self, now: float) -> Step:
        """The step to take now; `due_at` moves to the next one's time."""
        steps = list(Step)
        above = steps.index(self.first if self.step is None else self.step)
        self.step = steps[above if self.step is None else min(above + 1, len(steps) - 1)]
        self.due_at = now + self.step.value
        return self.step


@dataclass(slots=True)
class RestartBudget:
    """How often the engine may be started again after it died, within a time."""

    restarts: int = 3
    window_s: float = 300.0
    _deaths: deque[float] = field(default_factory=deque, init=False)

    def died(self, now: float) -> bool:
        """Note a death; False where it is one too many."""
        self._deaths.append(now)
        while now - self._deaths[0] > self.window_s:
            self._deaths.popleft()
        return len(self._deaths) <= self.restarts

    @property
    def count(self) -> int:
        """Deaths within the window."""
        return len(self._deaths)

    def reset(self) -> None:
        """Forget all deaths."""
        self._deaths.clear()
