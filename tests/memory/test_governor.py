"""The governor's promises, on machines that are short of memory in many ways."""

from hypothesis import given
from hypothesis import strategies as st

from deepseek_r1.hardware.pressure import MemoryReading
from deepseek_r1.memory.governor import (
    CALM_S,
    LEAST_BATCH,
    MemoryGovernor,
    MemoryLimits,
    low_mark_mib,
)

TOTAL_MIB = 8192.0
LOW_MIB = low_mark_mib(TOTAL_MIB)
STREAMED = MemoryLimits(budget_mib=2048, least_mib=600, batch=256)
RESIDENT = MemoryLimits(budget_mib=2048, least_mib=2048, batch=256)
TICK_S = 0.5

readings = st.builds(
    MemoryReading,
    total_mib=st.just(TOTAL_MIB),
    available_mib=st.floats(0.0, TOTAL_MIB),
    some_percent=st.floats(0.0, 100.0),
    full_percent=st.floats(0.0, 50.0),
    alarm=st.booleans(),
)


def reading(available_mib: float, **facts: float) -> MemoryReading:
    return MemoryReading(TOTAL_MIB, available_mib, **facts)


class Machine:
    """Memory that the engine and one other program share."""

    def __init__(self, governor: MemoryGovernor, eaten_mib: float) -> None:
        self.governor, self.eaten_mib, self.now_s = governor, eaten_mib, 100.0
        self.budgets = [governor.allowance.budget_mib]

    @property
    def available_mib(self) -> float:
        return max(0.0, TOTAL_MIB - self.eaten_mib - self.governor.allowance.budget_mib)

    def run(self, seconds: float) -> None:
        for _ in range(int(seconds / TICK_S)):
            self.now_s += TICK_S
            self.governor.decide(reading(self.available_mib), self.now_s)
            if self.governor.allowance.budget_mib != self.budgets[-1]:
                self.budgets.append(self.governor.allowance.budget_mib)


def test_a_control_group_that_the_budget_fills_is_not_short_as_planned():
    governor = MemoryGovernor(MemoryLimits(budget_mib=700, least_mib=400, batch=256))
    for available_mib in (60.0, 30.0, 17.0):
        seen = MemoryReading(700.0, available_mib, grouped=True)
        assert not governor.decide(seen, 1.0).short
    assert governor.decide(MemoryReading(700.0, 10.0, grouped=True), 2.0).short


def test_the_same_little_memory_is_a_shortage_on_a_machine_and_beyond_the_groups_limit():
    for budget_mib, grouped in ((700, False), (701, True)):
        governor = MemoryGovernor(MemoryLimits(budget_mib, least_mib=400, batch=256))
        assert governor.decide(MemoryReading(700.0, 30.0, grouped=grouped), 1.0).short


def test_ample_memory_changes_nothing():
    governor = MemoryGovernor(STREAMED)
    assert not governor.decide(reading(4000.0, some_percent=60.0), 1.0).short
    assert governor.allowance.budget_mib == STREAMED.budget_mib


def test_the_batch_goes_first_and_then_the_budget():
    governor = MemoryGovernor(STREAMED)
    first = governor.decide(reading(LOW_MIB - 10), 1.0)
    assert (first.batch, first.budget_mib, first.short) == (64, 2048, True)
    second = governor.decide(reading(LOW_MIB - 10), 1.5)
    assert second.budget_mib < 2048
    assert second.batch == 64


def test_a_model_in_memory_gives_its_batch_only():
    governor = MemoryGovernor(RESIDENT)
    for tick in range(20):
        allowed = governor.decide(reading(5.0), float(tick))
    assert (allowed.budget_mib, allowed.batch, allowed.short) == (2048, 64, True)


def test_programs_that_wait_for_memory_count_where_little_is_left():
    waiting = {"some_percent": 30.0, "full_percent": 8.0}
    assert MemoryGovernor(STREAMED).decide(reading(1.5 * LOW_MIB, **waiting), 1.0).short
    assert not MemoryGovernor(STREAMED).decide(reading(3 * LOW_MIB, **waiting), 1.0).short


def test_everything_comes_back_after_a_calm_time_and_not_before():
    machine = Machine(MemoryGovernor(STREAMED), eaten_mib=0.97 * TOTAL_MIB - 2048)
    machine.run(10)
    assert machine.governor.allowance.short
    machine.eaten_mib = 1000.0
    machine.run(CALM_S - 1)
    assert machine.governor.allowance.short
    machine.run(2)
    allowed = machine.governor.allowance
    assert (allowed.budget_mib, allowed.batch, allowed.short) == (2048, 256, False)


def test_a_budget_raised_while_memory_is_short_is_given_later():
    governor = MemoryGovernor(STREAMED)
    held = governor.decide(reading(20.0), 1.0).budget_mib
    assert governor.set_limits(MemoryLimits(4096, 600, 256)).budget_mib == held
    assert governor.set_limits(MemoryLimits(700, 600, 256)).budget_mib == 700


def test_a_shortage_soon_after_a_gift_makes_the_next_one_come_later():
    governor = MemoryGovernor(STREAMED)
    machine = Machine(governor, eaten_mib=TOTAL_MIB - 2048)
    spans = []
    for _ in range(3):
        machine.run(3)
        machine.eaten_mib, began = 0.0, machine.now_s
        while governor.allowance.short:
            machine.run(TICK_S)
        spans.append(machine.now_s - began)
        machine.eaten_mib = TOTAL_MIB - 2048
    assert spans[0] < spans[1] < spans[2]


@given(st.lists(readings, max_size=60), st.sampled_from([STREAMED, RESIDENT]))
def test_the_allowance_stays_within_the_limits(readings, wanted):
    governor = MemoryGovernor(wanted)
    for tick, each in enumerate(readings):
        allowed = governor.decide(each, tick * TICK_S)
        assert wanted.least_mib <= allowed.budget_mib <= wanted.budget_mib
        assert LEAST_BATCH <= allowed.batch <= wanted.batch
        if allowed.budget_mib < wanted.budget_mib or allowed.batch < wanted.batch:
            assert allowed.short


@given(st.lists(readings, max_size=60))
def test_a_raise_never_touches_the_upper_mark(readings):
    governor = MemoryGovernor(STREAMED)
    before = governor.allowance.budget_mib
    for tick, each in enumerate(readings):
        now = governor.decide(each, tick * CALM_S).budget_mib
        if now > before:
            assert each.available_mib - (now - before) >= 2 * LOW_MIB
        before = now


@given(st.floats(0.0, TOTAL_MIB))
def test_with_one_program_that_keeps_what_it_has_the_budget_comes_to_rest(eaten_mib):
    machine = Machine(MemoryGovernor(STREAMED), eaten_mib)
    machine.run(120)
    changes = len(machine.budgets)
    machine.run(600)
    assert len(machine.budgets) == changes
    budget = machine.governor.allowance.budget_mib
    assert machine.available_mib >= LOW_MIB or budget == STREAMED.least_mib


@given(st.lists(readings, max_size=30))
def test_after_ten_calm_minutes_nothing_is_missing(readings):
    governor = MemoryGovernor(STREAMED)
    for tick, each in enumerate(readings):
        governor.decide(each, tick * TICK_S)
    for tick in range(1300):
        governor.decide(reading(7000.0), 1000.0 + tick * TICK_S)
    assert governor.allowance.budget_mib == STREAMED.budget_mib
    assert not governor.allowance.short
