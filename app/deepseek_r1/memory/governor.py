"""What the engine may use while the machine is short of memory: decisions, nothing else.

The governor is told readings and times and answers with an `Allowance`. It has two marks, both a
share of the machine. Below the lower one it first takes the batch back (the next prompts touch
less memory), then the budget of a model that runs from the disk, by as much as is missing. Only
above the upper one, twice as high, and after a calm time, it gives back, and only as much as
leaves the upper mark untouched: giving back can never be what makes memory short again. A
shortage soon after a gift makes the next calm time twice as long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from deepseek_r1.hardware.pressure import MemoryReading

LEAST_BATCH = 32  # tokens; below it a prompt takes twice its time and hardly less memory
CALM_S = 8.0
MOST_CALM_S = 300.0
SETTLE_S = 1.0  # what was taken back shows in the next readings, not in this one
_LOW_SHARE, _LOW_LEAST_MIB, _LOW_MOST_MIB = 0.05, 64.0, 1024.0
_STEP_MIB = 64  # the least that is worth taking or giving
_SOME_PERCENT, _FULL_PERCENT = 20.0, 5.0  # of ten seconds spent waiting for memory


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user allows: the budget, the least it can be (MiB), and tokens read at once.

    `least_mib` is the budget itself for a model that is in memory whole.
    """

    budget_mib: int
    least_mib: int
    batch: int


@dataclass(frozen=True, slots=True)
class Allowance:
    """What may be used now. `short`: less than wanted, because the machine is short of memory."""

    budget_mib: int
    batch: int
    short: bool = False


class MemoryGovernor:
    """One model's allowance over time. For one thread; times are a monotonic clock's seconds."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._allowed = Allowance(wanted.budget_mib, wanted.batch)
        self._calm_since: float | None = None
        self._calm_s = CALM_S
        self._cut_at = self._gave_at = float("-inf")

    @property
    def allowance(self) -> Allowance:
        """What the last decision said."""
        return self._allowed

    def want(self, wanted: Wanted) -> Allowance:
        """The user allows something else. While memory is short, more is only given later."""
        self._wanted = wanted
        held = self._allowed
        if held.short:
            budget = max(wanted.least_mib, min(held.budget_mib, wanted.budget_mib))
            self._allowed = replace(held, budget_mib=budget, batch=min(held.batch, wanted.batch))
        else:
            self._allowed = Allowance(wanted.budget_mib, wanted.batch)
        return self._allowed

    def decide(self, reading: MemoryReading, now_s: float) -> Allowance:
        """The allowance after one more reading."""
        low_mib = low_mark_mib(reading.total_mib)
        if _is_short(reading, low_mib):
            self._calm_since = None
            self._take(reading, low_mib, now_s)
        elif self._allowed.short:
            self._consider_giving(reading, 2 * low_mib, now_s)
        return self._allowed

    def _take(self, reading: MemoryReading, low_mib: float, now_s: float) -> None:
        if now_s - self._gave_at < 4 * self._calm_s:
            self._calm_s = min(MOST_CALM_S, 2 * self._calm_s)
            self._gave_at = float("-inf")
        held = self._allowed
        batch = min(held.batch, max(LEAST_BATCH, self._wanted.batch // 4))
        self._allowed = replace(held, batch=batch, short=True)
        urgent = reading.available_mib < low_mib / 2
        if (batch < held.batch and not urgent) or now_s - self._cut_at < SETTLE_S:
            return
        missing_mib = max(_STEP_MIB, 1.5 * low_mib - reading.available_mib)
        budget = max(self._wanted.least_mib, int(held.budget_mib - missing_mib))
        if budget < held.budget_mib:
            self._cut_at = now_s
            self._allowed = replace(self._allowed, budget_mib=budget)

    def _consider_giving(self, reading: MemoryReading, high_mib: float, now_s: float) -> None:
        if reading.available_mib < high_mib or _stalls(reading) or reading.alarm:
            self._calm_since = None
            return
        if self._calm_since is None:
            self._calm_since = now_s
        if now_s - self._calm_since < self._calm_s:
            return
        held, wanted = self._allowed, self._wanted
        missing = wanted.budget_mib - held.budget_mib
        gift = min(missing, int(reading.available_mib - high_mib))
        if gift < min(missing, _STEP_MIB):
            return
        self._calm_since, self._gave_at = now_s, now_s
        if gift == missing:
            self._allowed = Allowance(wanted.budget_mib, wanted.batch)
        else:
            self._allowed = replace(held, budget_mib=held.budget_mib + gift)


def low_mark_mib(total_mib: float) -> float:
    """Less than this available is short: 5 % of the machine, 64 MiB to 1 GiB."""
    return min(_LOW_MOST_MIB, max(_LOW_LEAST_MIB, _LOW_SHARE * total_mib))


def _is_short(reading: MemoryReading, low_mib: float) -> bool:
    """Waiting for memory counts only where little is left: else it is some other group's."""
    if reading.available_mib < low_mib or reading.alarm:
        return True
    return _stalls(reading) and reading.available_mib < 2 * low_mib


def _stalls(reading: MemoryReading) -> bool:
    return reading.some_percent >= _SOME_PERCENT or reading.full_percent >= _FULL_PERCENT
