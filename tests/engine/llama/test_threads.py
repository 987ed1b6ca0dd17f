"""The governor of threads against machines whose best count changes."""

import random

import pytest

from deepseek_r1.engine.llama.threads import OtherProcessesLoad, ThreadGovernor, candidates


class Machine:
    """Tokens that take as long as `token_s(count, others)` says, with a clock of its own."""

    def __init__(self, most, token_s, noise=0.0, observed_every_s=0.0):
        self.token_s, self.noise, self.observed_every_s = token_s, noise, observed_every_s
        self.others, self.now_s = 0.0, 50.0
        self.draw = random.Random(3)
        self.governor = ThreadGovernor(most, lambda: self.others)
        self.counts: list[int] = []
        self.governor.begin(self.now_s)

    def run(self, seconds: float, others: float | None = None) -> float:
        """Write for so long; the rate as a share of the best fixed count's.

        `counts` has the counts of its tokens.
        """
        self.counts, self.others = [], self.others if others is None else others
        until, tokens, began = self.now_s + seconds, 0, self.now_s
        untold: list[float] = []
        while self.now_s < until:
            count = self.governor.count
            on_token = self.token_s(count, self.others)
            on_token *= 1 + self.noise * self.draw.uniform(-1, 1)
            self.now_s += on_token
            self.counts.append(count)
            untold.append(on_token)
            if sum(untold) >= self.observed_every_s:
                self.governor.observe(untold, self.now_s)
                untold = []
            tokens += 1
        fixed = (self.token_s(n, self.others) for n in range(1, max(self.counts) + 1))
        return tokens * min(fixed) / (self.now_s - began)


def two_cores(count: int, others: float) -> float:
    """Seconds a token, as a 1.5B model was measured on two cores beside busy programs."""
    rates = {0: (19, 23), 1: (14, 11), 2: (12, 9)}
    return 1 / rates[round(others)][count - 1]


def many_cores(count: int, others: float) -> float:
    """Memory is saturated by six threads; a thread on a busy core holds up all."""
    crowded = max(0, count + round(others) - 8)
    return 0.1 / min(count, 6) * (1 + 0.05 * max(0, count - 6) + 0.6 * crowded)


@pytest.mark.parametrize("observed_every_s", [0.0, 0.2])
@pytest.mark.parametrize("others", [0, 1, 2])
def test_the_best_fixed_count_is_nearly_reached(others, observed_every_s):
    machine = Machine(2, two_cores, noise=0.1, observed_every_s=observed_every_s)
    machine.run(2, others)
    assert machine.run(20) > 0.96


def test_it_follows_programs_that_come_and_go():
    machine = Machine(2, two_cores, noise=0.05)
    for others in (0, 1, 0, 2, 0, 1):
        machine.run(1.5, others)
        assert machine.run(15) > 0.95, others


def test_a_known_situation_needs_no_new_trial():
    machine = Machine(2, two_cores)
    for others in (0, 1, 0):
        machine.run(5, others)
    machine.run(0.5, 1)  # until it looks
    machine.run(1)
    assert set(machine.counts) == {1}


def test_a_machine_with_many_cores_is_climbed_step_by_step():
    machine = Machine(8, many_cores, noise=0.02)
    machine.run(5)
    assert machine.governor.count == 6
    assert machine.run(30) > 0.97


def test_what_the_load_does_not_show_is_seen_by_the_tokens():
    slow = {"on": False}

    def token_s(count: int, _others: float) -> float:
        return 0.02 * (count if slow["on"] else 3 - count)

    machine = Machine(2, token_s)
    machine.run(10)
    assert machine.governor.count == 2
    slow["on"] = True
    machine.run(5)
    assert machine.governor.count == 1


def test_trials_cost_about_a_percent():
    machine = Machine(2, two_cores)
    machine.run(60)
    assert machine.run(120) > 0.99
    assert 1 in machine.counts  # but it does look


def test_pauses_between_answers_bring_no_trial_closer():
    machine = Machine(2, two_cores)
    machine.run(30, 1)
    counts: list[int] = []
    for _ in range(20):  # short answers, minutes apart
        machine.now_s += 200
        machine.governor.begin(machine.now_s)
        machine.run(1.5)
        counts += machine.counts
    assert 0 < counts.count(2) < 0.03 * len(counts)


def test_a_load_that_flickers_brings_no_trial_closer():
    machine = Machine(2, two_cores)
    for others in (0, 1):
        machine.run(30, others)
    tries = 0
    for _ in range(20):
        for others, seconds in ((0, 0.4), (1, 4.0)):
            machine.run(1.1, others)  # until it looks
            machine.run(seconds)
        tries += machine.counts.count(2)
    assert tries < 0.03 * 20 * 4.0 * 14


def test_a_very_slow_count_is_left_after_one_token():
    machine = Machine(2, lambda count, _others: (0.05, 1.5)[count - 1])
    machine.run(10)
    machine.run(240)
    assert machine.counts.count(2) <= 3


def test_one_core_has_nothing_to_choose():
    machine = Machine(1, lambda _count, _others: 0.05)
    machine.run(10)
    assert set(machine.counts) == {1}


@pytest.mark.parametrize(
    ("most", "counts"), [(1, (1,)), (2, (1, 2)), (4, (1, 2, 3, 4)), (8, (1, 2, 4, 6, 7, 8))]
)
def test_counts_worth_trying(most, counts):
    assert candidates(most) == counts


def test_others_load_is_no_negative_number():
    load = OtherProcessesLoad()
    assert load() >= 0
