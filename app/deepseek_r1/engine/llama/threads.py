"""How many threads write: found while writing, because no fixed number suits a machine all day.

All threads of a token meet at every operation of its graph, so one that has to share its core
holds up the others. On an idle machine every core helps; beside one busy program on two cores, two
threads are slower than one. The governor sees how long each token took and how busy other programs
are, tries a neighbouring count for a moment where it has reason to, and keeps what was fastest.

Results are remembered for each level of others' load (in whole cores), so that a known situation
needs no new trial. Trials are spaced so that they cost about one percent of the time that is spent
writing at that level: pauses between answers, and other levels, bring no trial closer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from deepseek_r1.memory import meter

LOOK_S = 1.0  # between two looks at the machine: one takes a quarter of a millisecond
LOOK_SOON_S = 0.3  # after a token that was slower than the count's usual ones
_SLOW = 1.2  # times the usual
TRIAL_S, TRIAL_TOKENS = 0.2, 3  # what a trial needs to say something
_HOPELESS = 1.5  # times the best: a trial ends early
_DISASTER = 3.0  # times the best, for one token: it ends at once
_SWITCH = 0.97  # another count must beat the present one by 3 %
_COST = 0.01  # share of the time that trials may lose
_LEAST_GAP_S, _MOST_GAP_S = 2.0, 120.0
_NEW_WEIGHT = 0.3  # of a new window against what is remembered
_SURPRISE = 1.4  # times what is remembered: everything is measured anew
_HYSTERESIS_CORES = 0.75


def candidates(most: int) -> tuple[int, ...]:
    """Counts worth trying, ascending: all of a few, steps of a quarter of many."""
    if most <= 4:
        return tuple(range(1, most + 1))
    steps = {1, most // 4, most // 2, 3 * most // 4, most - 1, most}
    return tuple(sorted(count for count in steps if count >= 1))


class OthersLoad:
    """How many cores' worth of time other processes used since the last call."""

    def __init__(self) -> None:
        self._cpu, self._own_s, self._at_s = (
            meter.cpu_times(),
            time.process_time(),
            time.monotonic(),
        )

    def __call__(self) -> float:
        """Cores, 0 or more."""
        cpu, own_s, at_s = meter.cpu_times(), time.process_time(), time.monotonic()
        passed_s = max(1e-3, at_s - self._at_s)
        busy_s = sum(cpu.busy_s) - sum(self._cpu.busy_s)
        others = max(0.0, busy_s - (own_s - self._own_s)) / passed_s
        self._cpu, self._own_s, self._at_s = cpu, own_s, at_s
        return others


@dataclass
class _Situation:
    """What is known of one level of others' load. Seconds of writing at that level."""

    known: dict[int, float] = field(default_factory=dict)  # count: seconds of a token
    written_s: float = 0.0
    gap_s: float = _LEAST_GAP_S
    due_s: float = _LEAST_GAP_S  # the next trial, when so much was written

    @property
    def best_s(self) -> float:
        """The fastest count's seconds for a token."""
        return min(self.known.values(), default=float("inf"))

    def wait(self, gap_s: float) -> None:
        """The next trial comes after that much more writing."""
        self.gap_s = min(_MOST_GAP_S, gap_s)
        self.due_s = self.written_s + self.gap_s


class ThreadGovernor:
    """The count for the next token. For the computing thread alone; seconds throughout."""

    def __init__(
        self,
        most: int,
        load: Callable[[], float],
        counts: Sequence[int] | None = None,
    ) -> None:
        """`load` tells the cores that others used since it was last asked."""
        self._counts = tuple(counts or candidates(most))
        self._load = load
        self.count = self._counts[-1]
        self._level = 0
        self._here = _Situation()
        self._situations = {0: self._here}  # by level
        self._trial = False
        self._sum_s, self._tokens, self._skip = 0.0, 0, True
        self._looked_s = float("-inf")

    def begin(self, now_s: float) -> None:
        """An answer begins: the first look is about the time from here on, when it was read."""
        self._load()
        self._looked_s = now_s

    def saw(self, times_s: Sequence[float], now_s: float) -> int:
        """Tokens took `times_s`, one after the other until now; the count for the next ones."""
        here, count, longest_s = self._here, self.count, max(times_s)
        here.written_s += sum(times_s)
        if self._look_is_due(longest_s, now_s):
            self._look(now_s)
            if self._here is not here or self.count != count:
                return self.count  # these tokens say nothing of what comes now
        disaster = self._trial and longest_s > _DISASTER * here.best_s
        if self._skip and not disaster:  # the first token after a change starts or ends threads
            self._skip = False
            times_s = times_s[1:]
        self._sum_s += sum(times_s)
        self._tokens += len(times_s)
        if self._trial:
            if disaster or self._trial_over():
                self._conclude()
        elif self._tokens >= TRIAL_TOKENS and self._sum_s >= TRIAL_S:
            self._remember()
            if here.written_s >= here.due_s:
                self._try_next()
        return self.count

    def _look_is_due(self, token_s: float, now_s: float) -> bool:
        since_s = now_s - self._looked_s
        if since_s < LOOK_SOON_S:
            return False
        return since_s >= LOOK_S or token_s > _SLOW * self._here.known.get(self.count, 0.0)

    def _look(self, now_s: float) -> None:
        others = self._load()
        self._looked_s = now_s
        if abs(others - self._level) <= _HYSTERESIS_CORES:
            return
        self._level = min(self._counts[-1], round(others))
        self._here = self._situations.setdefault(self._level, _Situation())
        self._start_over()

    def _start_over(self) -> None:
        """Another situation: its best count where it is known, else one thread a free core.

        Others are tried a little later: a load that comes and goes costs no trial.
        """
        known = self._here.known
        free = max(1, self._counts[-1] - self._level)
        likeliest = max(count for count in self._counts if count <= free)
        self._take(min(known, key=lambda n: known[n], default=likeliest), trial=False)

    def _take(self, count: int, *, trial: bool) -> None:
        self._trial = trial
        self._sum_s, self._tokens, self._skip = 0.0, 0, count != self.count
        self.count = count

    def _trial_over(self) -> bool:
        hopeless = self._tokens >= 2 and self._sum_s > _HOPELESS * self._here.best_s * self._tokens
        return hopeless or (self._tokens >= TRIAL_TOKENS and self._sum_s >= TRIAL_S)

    def _conclude(self) -> None:
        """A trial has its result: another neighbour of the best, or the best for a while."""
        here, known = self._here, self._here.known
        before = min(known, key=lambda count: known[count], default=None)
        known[self.count] = self._sum_s / self._tokens
        best = min(known, key=lambda count: known[count])
        better = before is not None and before != self.count == best
        if before is not None and better and known[best] > _SWITCH * known[before]:
            best, better = before, False
        if better:
            here.gap_s = _LEAST_GAP_S
        unknown = [count for count in self._neighbours(best) if count not in known]
        if better and unknown:  # on in the same direction
            self._take(unknown[0], trial=True)
            return
        lost_s = max(0.0, self._sum_s - self._tokens * known[best])
        here.wait(max(2 * here.gap_s, lost_s / _COST))
        self._take(best, trial=False)

    def _remember(self) -> None:
        """One more window with the count that is in use."""
        here, known, mean_s = self._here, self._here.known, self._sum_s / self._tokens
        before = known.get(self.count, mean_s)
        if mean_s > _SURPRISE * before and here.gap_s > _LEAST_GAP_S:
            known.clear()  # something changed that the load does not show
            known[self.count] = mean_s
            here.gap_s, here.due_s = _LEAST_GAP_S, here.written_s
        else:
            known[self.count] = before + _NEW_WEIGHT * (mean_s - before)
        self._sum_s, self._tokens = 0.0, 0

    def _try_next(self) -> None:
        near = self._neighbours(self.count)
        if not near:
            self._here.wait(_MOST_GAP_S)
            return
        known = self._here.known
        self._take(min(near, key=lambda count: known.get(count, 0.0)), trial=True)

    def _neighbours(self, count: int) -> list[int]:
        at = self._counts.index(count)
        return [self._counts[i] for i in (at - 1, at + 1) if 0 <= i < len(self._counts)]
