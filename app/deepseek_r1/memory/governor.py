"""Decides what the engine may use while the machine is short of memory. It acts on nothing itself.

The governor takes readings with their times and returns an `Allowance`. It has two marks, both a
share of the machine's memory. Below the lower mark it first reduces the batch, so that the next
prompts touch less memory, then the budget of a streamed model, by as much as is missing. Only above
the upper mark, which is twice as high, and after a calm period it raises them again, and only as
far as the upper mark stays untouched: raising the budget can never make memory short again. In a
control group that the budget nearly fills, little memory is left as planned, so the marks are lower
there. A shortage soon after a raise doubles the calm period that the next raise waits for.
"""

from dataclasses import dataclass, replace

from deepseek_r1.core.events import MemoryState
from deepseek_r1.core.i18n import tr
from deepseek_r1.hardware.pressure import MemoryReading

LEAST_BATCH = 32  # tokens; a smaller batch doubles a prompt's time and saves hardly any memory
CALM_S = 8.0
MOST_CALM_S = 300.0
SETTLE_S = 1.0  # released memory shows in the next readings, not in this one
_LOW_SHARE, _LOW_LEAST_MIB, _LOW_MOST_MIB = 0.05, 64.0, 1024.0
_PLANNED_LEAST_MIB = 16.0  # the lower mark of a control group that the budget fills
_STEP_MIB = 64  # the smallest change of the budget
_SOME_PERCENT, _FULL_PERCENT = 20.0, 5.0  # of ten seconds spent waiting for memory


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """The user's limits: the budget (MiB), the smallest budget (MiB), and the batch (tokens).

    `least_mib` is the budget itself for a model that is in memory whole.
    """

    budget_mib: int
    least_mib: int
    batch: int


@dataclass(frozen=True, slots=True)
class Allowance:
    """The memory that may be used now. `short` where it is below the limits, for want of memory."""

    budget_mib: int
    batch: int
    short: bool = False


class MemoryGovernor:
    """The allowance of one model over time. For one thread; times are monotonic seconds."""

    def __init__(self, limits: MemoryLimits) -> None:
        self._limits = limits
        self.allowance = Allowance(limits.budget_mib, limits.batch)  # the last decision
        self._calm_since: float | None = None
        self._calm_s = CALM_S
        self._cut_at = self._raised_at = float("-inf")

    def set_limits(self, limits: MemoryLimits) -> Allowance:
        """The user changes the limits. While memory is short, larger ones take effect later."""
        self._limits = limits
        before = self.allowance
        if before.short:
            budget = max(limits.least_mib, min(before.budget_mib, limits.budget_mib))
            batch = min(before.batch, limits.batch)
            self.allowance = replace(before, budget_mib=budget, batch=batch)
        else:
            self.allowance = Allowance(limits.budget_mib, limits.batch)
        return self.allowance

    def decide(self, reading: MemoryReading, now_s: float) -> Allowance:
        low_mib = self._low_mark_mib(reading)
        if _is_short(reading, low_mib):
            self._calm_since = None
            self._reduce(reading, low_mib, now_s)
        elif self.allowance.short:
            self._consider_raise(reading, 2 * low_mib, now_s)
        return self.allowance

    def _low_mark_mib(self, reading: MemoryReading) -> float:
        mark_mib = low_mark_mib(reading.total_mib)
        planned_mib = reading.total_mib - self._limits.budget_mib
        if not reading.grouped or planned_mib < 0:  # a budget beyond the limit is no plan
            return mark_mib
        return min(mark_mib, max(_PLANNED_LEAST_MIB, planned_mib / 2))

    def _reduce(self, reading: MemoryReading, low_mib: float, now_s: float) -> None:
        if now_s - self._raised_at < 4 * self._calm_s:
            self._calm_s = min(MOST_CALM_S, 2 * self._calm_s)
            self._raised_at = float("-inf")
        before = self.allowance
        batch = min(before.batch, max(LEAST_BATCH, self._limits.batch // 4))
        self.allowance = replace(before, batch=batch, short=True)
        urgent = reading.available_mib < low_mib / 2
        if (batch < before.batch and not urgent) or now_s - self._cut_at < SETTLE_S:
            return
        missing_mib = max(_STEP_MIB, 1.5 * low_mib - reading.available_mib)
        budget = max(self._limits.least_mib, int(before.budget_mib - missing_mib))
        if budget < before.budget_mib:
            self._cut_at = now_s
            self.allowance = replace(self.allowance, budget_mib=budget)

    def _consider_raise(self, reading: MemoryReading, high_mib: float, now_s: float) -> None:
        if reading.available_mib < high_mib or _stalls(reading) or reading.alarm:
            self._calm_since = None
            return
        if self._calm_since is None:
            self._calm_since = now_s
        if now_s - self._calm_since < self._calm_s:
            return
        before, limits = self.allowance, self._limits
        missing = limits.budget_mib - before.budget_mib
        step = min(missing, int(reading.available_mib - high_mib))
        if step < min(missing, _STEP_MIB):
            return
        self._calm_since, self._raised_at = now_s, now_s
        if step == missing:
            self.allowance = Allowance(limits.budget_mib, limits.batch)
        else:
            self.allowance = replace(before, budget_mib=before.budget_mib + step)


def low_mark_mib(total_mib: float) -> float:
    """Available memory below which the machine is short: 5 % of it, 64 MiB to 1 GiB."""
    return min(_LOW_MOST_MIB, max(_LOW_LEAST_MIB, _LOW_SHARE * total_mib))


def _is_short(reading: MemoryReading, low_mib: float) -> bool:
    """Whether memory is short.

    Stalls count only where little is available: otherwise they are those of another control group.
    """
    if reading.available_mib < low_mib or reading.alarm:
        return True
    return _stalls(reading) and reading.available_mib < 2 * low_mib


def _stalls(reading: MemoryReading) -> bool:
    return reading.some_percent >= _SOME_PERCENT or reading.full_percent >= _FULL_PERCENT


def shortage_text(memory: MemoryState) -> str:
    """Explains what the engine does in this state of memory, and what the user can do."""
    if not memory.short:
        return tr("There is enough memory again.")
    if memory.streams:
        return tr(
            "This computer is short of memory, so less of the model stays in it for "
            "now. The answer goes on, more slowly."
        )
    return tr(
        "This computer is short of memory. The whole model is in memory and "
        "cannot give any back: close other programs, or run it from the disk "
        "with a smaller budget."
    )
