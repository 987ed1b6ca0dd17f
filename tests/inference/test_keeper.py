"""The keeper carries the governor's decisions to the model, and nothing to a model that left."""

from __future__ import annotations

import threading
import weakref
from dataclasses import replace

import pytest

from deepseek_r1.core.errors import EngineBusy
from deepseek_r1.hardware.pressure import MemoryReading
from deepseek_r1.inference import keeper as keeper_module
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
        self.model = Model()
        self.keeper = self.keeper_of(self.model)

    def keeper_of(self, model: Model) -> MemoryKeeper:
        return MemoryKeeper(model, self._changed, lambda: True, lambda: self.reading)

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


def test_a_model_is_not_touched_after_the_stop(setting):
    setting.keeper.stop()
    setting.reading = SHORT
    setting.keeper.look(1.0)
    assert setting.model.held == []


def test_a_keeper_keeps_no_model_alive(setting):
    gone = weakref.ref(setting.model)
    del setting.model
    assert gone() is None
    setting.keeper.look(1.0)


def test_a_model_that_cannot_do_with_less_is_not_asked_again_and_again(setting):
    refusals: list[Allowance] = []

    def refuse(allowance: Allowance) -> None:
        refusals.append(allowance)
        raise EngineBusy

    setting.model.hold = refuse
    setting.reading = SHORT
    for tick in range(8):
        setting.keeper.look(100.0 + tick)
    assert len(refusals) == len(set(refusals)) > 0


def test_the_keeper_outlives_what_nobody_foresaw_and_tells_it_once(setting, monkeypatch, caplog):
    monkeypatch.setattr(keeper_module, "WORKING_S", 0.001)
    held = threading.Event()
    failures = iter([OSError("no /proc"), OSError("no /proc")])

    def read() -> MemoryReading:
        failure = next(failures, None)
        if failure is not None:
            raise failure
        return SHORT

    def hold_at_last(_allowance: Allowance) -> None:
        if not held.is_set():
            held.set()
            raise RuntimeError("once")
        setting.model.held.append(_allowance)
        arrived.set()

    arrived = threading.Event()
    setting.model.hold = hold_at_last
    keeper = MemoryKeeper(setting.model, lambda: None, lambda: True, read)
    keeper.start()
    assert arrived.wait(10), "it went on looking, and what was not held to was tried again"
    keeper.stop()
    told = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert [str(error) for error in told] == ["no /proc", "once"]


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
