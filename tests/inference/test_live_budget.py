"""What a live budget follows: what the processes cost by now."""

import os
import sys
import threading
from pathlib import Path

import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.errors import EngineFailed
from deepseek_r1.core.events import AnswerDelta
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.formats import gguf
from deepseek_r1.formats.gguf import ModelHeader, read_header
from deepseek_r1.inference import loading, process_share
from deepseek_r1.memory import forecast
from deepseek_r1.memory import plan as plan_module
from deepseek_r1.memory.forecast import model_bill, planned_share
from deepseek_r1.memory.meter import process_mib
from deepseek_r1.memory.plan import ENGINE_RUNTIME_MIB, RENDERER_MIB, ProcessOverhead
from deepseek_r1.weights import streamed_weights
from deepseek_r1.weights.direct_file import WeightFile, WeightsUnreadableError
from deepseek_r1.weights.residency import Residency, plan_residency
from support.budgets import engine_extra_mib
from support.command import run_code

WINDOW_MIB, GROWN_MIB = 150.0, 550.0
SETTINGS = {"memory_budget": 328, "context_length": 512, "swap_enabled": True}
# In a process of its own: what pytest holds would count as the engine's.
OPENS = f"""
import os
from deepseek_r1 import CPUInference

window_mib = float(os.environ["WINDOW_MIB"])
with CPUInference(os.environ["MODEL"], window_mib=window_mib, **{SETTINGS}) as model:
"""
GROWS = """
    for grown_mib in (0.0, 4.0):
        model.set_memory_budget(328, window_mib=window_mib + grown_mib)
        model.generate("Hello", max_tokens=4)  # what is to stay comes home
        print(model.weights_stats.pinned_mib)
"""
LENDS = """
    model.generate("Hello", max_tokens=4)
    for mib in (0.0, 4.0, 0.0):
        assert model._reading_memory._set_reduction(mib)
        if not mib:
            model.generate("Hello", max_tokens=4)  # what is to stay comes home
        print(model.weights_stats.pinned_mib)
"""


def pinned_mib(starter: Path, code: str) -> list[float]:
    """What the code prints of a model that is opened in a process of its own."""
    window_mib = WINDOW_MIB - engine_extra_mib(starter)
    done = run_code(OPENS + code, MODEL=str(starter), WINDOW_MIB=str(window_mib))
    assert done.returncode == 0, done.stderr
    return [float(each) for each in done.stdout.split()]


def opened(starter: Path, **settings: int) -> CPUInference:
    return CPUInference(starter, window_mib=WINDOW_MIB, **SETTINGS | settings)


@pytest.fixture
def process_counts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What pytest holds would count as the engine's."""
    monkeypatch.setattr(loading, "process_mib", lambda _pid: 0.0)


@pytest.mark.integration
def test_streamed_weights_make_room_for_a_reader_of_documents(starter: Path) -> None:
    before, meanwhile, after = pinned_mib(starter, LENDS)
    assert meanwhile < before
    assert after == before


@pytest.mark.integration
def test_the_weights_follow_the_window(starter: Path) -> None:
    before, after = pinned_mib(starter, GROWS)
    assert after < before - 3


@pytest.mark.integration
def test_a_window_that_has_grown_raises_the_least(starter: Path) -> None:
    with opened(starter, memory_budget=300) as model:
        before = model.wanted.least_mib
        model.set_memory_budget(4096, window_mib=GROWN_MIB)
        assert model.wanted.least_mib >= before + GROWN_MIB - WINDOW_MIB


@pytest.fixture
def planned_mib(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The weights' budget of each residency that is computed."""
    computed: list[float] = []

    def counting(header: ModelHeader, weights_mib: float, *, chunk_bytes: int) -> Residency:
        residency = plan_residency(header, weights_mib, chunk_bytes=chunk_bytes)
        computed.append(weights_mib)
        return residency

    for module in (plan_module, streamed_weights):
        monkeypatch.setattr(module, "plan_residency", counting)
    return computed


@pytest.mark.integration
@pytest.mark.usefixtures("process_counts_nothing")
def test_one_move_of_the_budget_computes_the_residency_at_most_twice(starter, planned_mib):
    """Once for the budget, and once for the memory that a short conversation leaves to weights."""
    with opened(starter, context_length=2048) as model:
        for budget_mib in (345, 324, 332):
            planned_mib.clear()
            model.set_memory_budget(budget_mib, window_mib=WINDOW_MIB)
            assert 1 <= len(planned_mib) <= 2


@pytest.mark.integration
@pytest.mark.usefixtures("process_counts_nothing")
@pytest.mark.parametrize("left", ["stopped", "left with break"])
def test_a_budget_that_is_lowered_during_an_answer_is_kept_once_the_answer_ended(starter, left):
    with opened(starter) as model:
        model.generate("Hello", max_tokens=4)  # what is to stay comes home
        before_mib = model.weights_stats.pinned_mib
        events = model.stream("Count to a hundred.", max_tokens=100)
        for event in events:
            if isinstance(event, AnswerDelta):
                break
        model.set_memory_budget(model.wanted.least_mib)
        if left == "stopped":
            model.cancel()
            list(events)
        del events
        kept_mib = model.weights_stats.pinned_mib
        assert kept_mib < before_mib - 10
        model.set_memory_budget(model.wanted.least_mib)
        assert model.weights_stats.pinned_mib == kept_mib


@pytest.mark.integration
@pytest.mark.usefixtures("process_counts_nothing")
def test_a_drive_that_was_gone_for_a_while_costs_only_the_answers_meanwhile(starter, monkeypatch):
    tensors = {each.name: each for each in read_header(starter).tensors}
    weight, gone, read = tensors["blk.9.ffn_up.weight"], threading.Event(), WeightFile.read

    def failing(file: WeightFile, into: memoryview, start: int, end: int) -> None:
        if gone.is_set() and start <= weight.offset + weight.nbytes // 2 < end:
            raise WeightsUnreadableError("Input/output error")
        read(file, into, start, end)

    monkeypatch.setattr(WeightFile, "read", failing)
    gone.set()
    with opened(starter) as model:
        with pytest.raises(EngineFailed, match="Input/output"):
            model.generate("Hello", max_tokens=4)
        loaded_mib = model.weights_stats.pinned_mib
        model.set_memory_budget(model.wanted.least_mib)
        assert model.memory.budget_mib == model.loaded.bill.budget_mib == model.wanted.least_mib
        with pytest.raises(EngineFailed, match="Input/output"):
            model.generate("Hello", max_tokens=4)
        gone.clear()
        assert model.generate("Hello", max_tokens=4)
        assert model.weights_stats.pinned_mib < loaded_mib - 10


@pytest.mark.integration
def test_an_estimate_computes_the_residency_at_most_twice(starter, planned_mib):
    settings = LoadSettings(memory_budget=328, context_length=2048, swap_enabled=True)
    assert model_bill(gguf.read_header, starter, settings, WINDOW_MIB).bill.streams
    assert 1 <= len(planned_mib) <= 2


def test_an_engine_in_its_own_process_has_the_planned_share():
    assert process_share(170.0).window_mib == 170.0
    if sys.platform == "linux":
        assert process_share(170.0) == ProcessOverhead(ENGINE_RUNTIME_MIB, 170.0)
        assert process_share(0.0) == ProcessOverhead()


@pytest.fixture
def measured_here(monkeypatch):
    """As on a system where the plan's constant was not measured."""
    monkeypatch.setattr(forecast, "constant_applies", False)
    loading._engine_runtime_mib.cache_clear()
    yield
    loading._engine_runtime_mib.cache_clear()


@pytest.mark.integration
@pytest.mark.usefixtures("measured_here")
def test_where_the_constant_was_not_measured_the_engines_process_is():
    own_mib = process_mib(os.getpid())
    measured = process_share(0.0).runtime_mib
    assert measured >= max(ENGINE_RUNTIME_MIB, own_mib + RENDERER_MIB)
    ballast = bytearray(64 << 20)
    assert process_share(0.0).runtime_mib == measured  # once: what comes later is the model's
    assert ballast


@pytest.mark.integration
@pytest.mark.usefixtures("measured_here")
def test_a_bill_without_the_engine_has_what_the_last_load_measured():
    assert planned_share(9.0) == ProcessOverhead(ENGINE_RUNTIME_MIB, 9.0)
    measured = process_share(0.0).runtime_mib
    assert measured > ENGINE_RUNTIME_MIB
    assert planned_share(9.0) == ProcessOverhead(measured, 9.0)
    forecast.ENGINE_MEMORY.file.write_bytes(b"{")
    assert planned_share(9.0) == ProcessOverhead(ENGINE_RUNTIME_MIB, 9.0)


@pytest.mark.integration
def test_the_callers_own_process_is_measured_with_all_it_holds():
    share = process_share()
    assert share.window_mib == 0
    assert ENGINE_RUNTIME_MIB < share.runtime_mib < process_mib(os.getpid()) + 400
