"""The keeper carries the governor's decisions to the model, and nothing to a model that left."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from deepseek_r1.core.errors import EngineBusy
from deepseek_r1.hardware.pressure import MemoryReading
from deepseek_r1.inference.keeper import MemoryKeeper
from deepseek_r1.inference.turns import Turns
from deepseek_r1.memory.governor import Allowance, Wanted

AMPLE, SHORT = MemoryReading(8192, 6000), MemoryReading(8192, 50)


class Model:
    def __init__(self) -> None:
        self.wanted = Wanted(2048, 700, 256)
        self.held: list[Allowance] = []

    def hold(self, allowance: Allowance) -> None:
        self.held.append(allowance)


class Setting:
    def __init__(self) -> None:
        self.reading, self.changes = AMPLE, 0
        self.keeper = MemoryKeeper(self._changed, read=lambda: self.reading)
        self.model = Model()
        self.keeper.attach(self.model)

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
def setting() -> Setting:
    return Setting()


def test_ample_memory_leaves_the_model_alone(setting):
    setting.keeper.look(1.0)
    assert (setting.model.held, setting.changes) == ([], 0)


def test_a_shortage_reaches_the_model_once_and_its_end_too(setting):
    setting.reading = SHORT
    for tick in range(8):
        setting.keeper.look(100.0 + tick)
    assert setting.model.held[0].short
    assert setting.model.held[-1].budget_mib == 700
    told = len(setting.model.held)
    setting.keeper.look(110.0)
    assert len(setting.model.held) == told == setting.changes
    setting.reading = AMPLE
    for tick in range(40):
        setting.keeper.look(120.0 + tick)
    assert setting.model.held[-1] == Allowance(2048, 256)


def test_the_users_smaller_budget_is_the_new_most(setting):
    setting.model.wanted = replace(setting.model.wanted, budget_mib=1024)
    setting.keeper.look(1.0)
    setting.reading = SHORT
    setting.keeper.look(2.0)
    assert setting.model.held[-1].budget_mib < 1024


def test_a_model_that_left_is_not_touched(setting):
    setting.keeper.detach()
    setting.reading = SHORT
    setting.keeper.look(1.0)
    assert setting.model.held == []


def test_another_model_wants_all_of_its_own(setting):
    setting.reading = SHORT
    setting.keeper.look(1.0)
    other = Model()
    setting.keeper.attach(other)
    setting.reading = AMPLE
    setting.keeper.look(2.0)
    assert other.held == []


def test_work_between_answers_holds_an_answer_up_and_does_not_refuse_it():
    turns, inside, go_on = Turns(), threading.Event(), threading.Event()

    def settle() -> None:
        with turns.between() as free:
            assert free
            inside.set()
            go_on.wait(5)

    worker = threading.Thread(target=settle)
    worker.start()
    inside.wait(5)
    threading.Timer(0.05, go_on.set).start()
    turns.require_free()
    with turns.answering(), turns.between() as free:
        assert not free
    worker.join()


def test_one_answer_at_a_time():
    turns = Turns()
    with turns.answering():
        with pytest.raises(EngineBusy):
            turns.require_free()
        with pytest.raises(EngineBusy), turns.answering():
            pass
        with pytest.raises(EngineBusy), turns.ending(0.01):
            pass
    with turns.ending(0.0):
        pass
