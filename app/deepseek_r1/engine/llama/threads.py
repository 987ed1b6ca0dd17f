"""Governs the number of decode threads, because no fixed number suits a machine all day.

All threads of a token synchronize at every operation of its graph, so one that shares its core
delays the others. On an idle machine every core helps; beside one busy program on two cores, two
threads are slower than one. The governor observes how long each token took and how busy other
programs are, tries a neighbouring count briefly where it has reason to, and keeps the fastest.

Results are remembered for each level of other programs' load (in whole cores), so that a known
level needs no new trial. Trials are spaced so that they cost about one percent of the decode time
at that level: pauses between answers, and other levels, bring no trial closer.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.hardware import cpu
from deepseek_r1.memory import meter

LOAD_EVERY_S = 1.0  # between two measurements of the load: one takes a quarter of a millisecond
LOAD_SOON_S = 0.3  # after a token that was slower than the count's usual ones
_SLOW_RATIO = 1.2  # times the usual
TRIAL_S, TRIAL_TOKENS = 0.2, 3  # the least of a trial
_ABANDON_RATIO = 1.5  # times the best: a trial ends early
_ABORT_RATIO = 3.0  # times the best, for one token: it ends at once
_SWITCH_RATIO = 0.97  # another count must beat the present one by 3 %
_TRIAL_SHARE = 0.01  # share of the time that trials may lose
_LEAST_GAP_S, _MOST_GAP_S = 2.0, 120.0
_NEW_WEIGHT = 0.3  # of a new window against what is remembered
_SURPRISE_RATIO = 1.4  # times the recorded time: everything is measured again
_HYSTERESIS_CORES = 0.75


def candidates(most: int) -> tuple[int, ...]:
    """Return counts worth trying, ascending: all of a few cores, steps of a quarter of many."""
    if most <= 4:
        return tuple(range(1, most + 1))
    steps = {1, most // 4, most // 2, 3 * most // 4, most - 1, most}
    return tuple(sorted(count for count in steps if count >= 1))


class OtherProcessesLoad:
    """Measures how many cores other processes used since the last call."""

    def __init__(self) -> None:
        self._before = _times_s()

    def __call__(self) -> float:
        """Return the cores, 0 or more."""
        now = _times_s()
        others_s, passed_s = (one - other for one, other in zip(now, self._before, strict=True))
        self._before = now
        return max(0.0, others_s) / max(1e-3, passed_s)


def _times_s() -> tuple[float, float]:
    """The processor time of all other processes, and the clock."""
    return sum(meter.cpu_times().busy_s) - time.process_time(), time.monotonic()


@dataclass
class _LoadLevel:
    """The results of one level of load. Times are seconds of decode at that level."""

    known: dict[int, float] = field(default_factory=dict)  # count: seconds of a token
    written_s: float = 0.0
    gap_s: float = _LEAST_GAP_S
    due_s: float = _LEAST_GAP_S  # the next trial, after so much decode time

    @property
    def best_s(self) -> float:
        return min(self.known.values(), default=float("inf"))

    def wait(self, gap_s: float) -> None:
        """Schedule the next trial after `gap_s` more seconds of decode."""
        self.gap_s = min(_MOST_GAP_S, gap_s)
        self.due_s = self.written_s + self.gap_s


class ThreadGovernor:
    """Chooses the count for the next token. For the computing thread alone; times are seconds."""

    def __init__(self, most: int, load: Callable[[], float]) -> None:
        """`load` returns the cores that other programs used since it was last called."""
        self._counts = candidates(most)
        self._load = load
        self.count = self._counts[-1]
        self._level = 0
        self._current = _LoadLevel()
        self._levels = {0: self._current}  # by level
        self._trial = False
        self._sum_s, self._tokens, self._skip = 0.0, 0, True
        self._load_sampled_s = float("-inf")

    def begin(self, now_s: float) -> None:
        """Start an answer: the load is measured from here on."""
        self._load()
        self._load_sampled_s = now_s

    def observe(self, times_s: Sequence[float], now_s: float) -> int:
        """Record the times of the last tokens, in order; returns the count for the next one."""
        current, count, longest_s = self._current, self.count, max(times_s)
        current.written_s += sum(times_s)
        if self._load_is_due(longest_s, now_s):
            self._sample_load(now_s)
            if self._current is not current or self.count != count:
                return self.count  # these tokens say nothing about the new level
        abort = self._trial and longest_s > _ABORT_RATIO * current.best_s
        if self._skip and not abort:  # the first token after a change also starts or ends threads
            self._skip = False
            times_s = times_s[1:]
        self._sum_s += sum(times_s)
        self._tokens += len(times_s)
        if self._trial:
            if abort or self._trial_over():
                self._finish_trial()
        elif self._tokens >= TRIAL_TOKENS and self._sum_s >= TRIAL_S:
            self._record_window()
            if current.written_s >= current.due_s:
                self._try_next()
        return self.count

    def _load_is_due(self, token_s: float, now_s: float) -> bool:
        since_s = now_s - self._load_sampled_s
        if since_s < LOAD_SOON_S:
            return False
        return since_s >= LOAD_EVERY_S or token_s > _SLOW_RATIO * self._current.known.get(
            self.count, 0.0
        )

    def _sample_load(self, now_s: float) -> None:
        others = self._load()
        self._load_sampled_s = now_s
        if abs(others - self._level) <= _HYSTERESIS_CORES:
            return
        self._level = min(self._counts[-1], round(others))
        self._current = self._levels.setdefault(self._level, _LoadLevel())
        self._enter_level()

    def _enter_level(self) -> None:
        """Switch to the best known count of another level, or else to one thread a free core.

        Other counts are tried a little later: a load that comes and goes costs no trial.
        """
        known = self._current.known
        free = max(1, self._counts[-1] - self._level)
        likeliest = max(count for count in self._counts if count <= free)
        self._switch_to(min(known, key=lambda n: known[n], default=likeliest), trial=False)

    def _switch_to(self, count: int, *, trial: bool) -> None:
        self._trial = trial
        self._sum_s, self._tokens, self._skip = 0.0, 0, count != self.count
        self.count = count

    def _trial_over(self) -> bool:
        abandon = (
            self._tokens >= 2 and self._sum_s > _ABANDON_RATIO * self._current.best_s * self._tokens
        )
        return abandon or (self._tokens >= TRIAL_TOKENS and self._sum_s >= TRIAL_S)

    def _finish_trial(self) -> None:
        """End a trial: try another neighbour of the best count, or keep the best for a while."""
        current, known = self._current, self._current.known
        before = min(known, key=lambda count: known[count], default=None)
        known[self.count] = self._sum_s / self._tokens
        best = min(known, key=lambda count: known[count])
        better = before is not None and before != self.count == best
        if before is not None and better and known[best] > _SWITCH_RATIO * known[before]:
            best, better = before, False
        if better:
            current.gap_s = _LEAST_GAP_S
        unknown = [count for count in self._neighbours(best) if count not in known]
        if better and unknown:  # on in the same direction
            self._switch_to(unknown[0], trial=True)
            return
        lost_s = max(0.0, self._sum_s - self._tokens * known[best])
        current.wait(max(2 * current.gap_s, lost_s / _TRIAL_SHARE))
        self._switch_to(best, trial=False)

    def _record_window(self) -> None:
        """Record one more window with the count in use."""
        current, known, mean_s = self._current, self._current.known, self._sum_s / self._tokens
        before = known.get(self.count, mean_s)
        if mean_s > _SURPRISE_RATIO * before and current.gap_s > _LEAST_GAP_S:
            known.clear()  # something changed that the load does not show
            known[self.count] = mean_s
            current.gap_s, current.due_s = _LEAST_GAP_S, current.written_s
        else:
            known[self.count] = before + _NEW_WEIGHT * (mean_s - before)
        self._sum_s, self._tokens = 0.0, 0

    def _try_next(self) -> None:
        near = self._neighbours(self.count)
        if not near:
            self._current.wait(_MOST_GAP_S)
            return
        known = self._current.known
        self._switch_to(min(near, key=lambda count: known.get(count, 0.0)), trial=True)

    def _neighbours(self, count: int) -> list[int]:
        at = self._counts.index(count)
        return [self._counts[i] for i in (at - 1, at + 1) if 0 <= i < len(self._counts)]


class EngineThreads:
    """Pairs of counts, for decode and for prefill.

    `set` is for any thread, the rest for the computing thread.
    """

    def __init__(self, settings: LoadSettings) -> None:
        self._automatic = cpu().threads, cpu().threads_prefill
        self._adaptive = ThreadGovernor(self._automatic[0], OtherProcessesLoad())
        self.set(settings.threads, settings.threads_prefill)
        self.applied = self._wanted  # to the contexts

    @property
    def counts(self) -> tuple[int, int]:
        """The counts in force with the next token at the latest, none of them 0."""
        governor, wanted = self.governor, self._wanted
        return (wanted[0] if governor is None else governor.count), wanted[1]

    def set(self, threads: int, threads_prefill: int) -> None:
        self._wanted = threads or self._automatic[0], threads_prefill or self._automatic[1]
        self.governor = self._adaptive if threads == 0 else None  # chosen counts have none

    def begin_answer(self) -> None:
        """Let the governor measure other programs' load from here on."""
        self._adaptive.begin(time.perf_counter())

    def changed(
        self, governor: ThreadGovernor | None, *, in_background: bool
    ) -> tuple[int, int] | None:
        """Return the counts to apply before the next computation; None where they are in force.

        `governor` has the count for decode, if given. `in_background`: half the threads for
        prefill, since the user is doing something else.
        """
        wanted = self._wanted
        if governor is not None:
            wanted = governor.count, wanted[1]
        if in_background:
            wanted = wanted[0], max(1, wanted[1] // 2)
        if wanted == self.applied:
            return None
        self.applied = wanted
        return wanted
