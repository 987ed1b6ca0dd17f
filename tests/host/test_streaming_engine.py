"""A model that runs from the disk, through the real child: its numbers and its live budget."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deepseek_r1.core.errors import BudgetTooSmall, WrongUsage
from deepseek_r1.core.events import AnswerDelta, GenerationFinished
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.host.client import EngineClient
from deepseek_r1.host.engine_session import RestartBudget
from deepseek_r1.host.protocol import EngineState, SetBudgetRequest
from support.budgets import engine_extra_mib
from support.closing_replies import closing, text_of
from support.patience import wait_until

pytestmark = pytest.mark.integration

STREAMED = LoadSettings(
    memory_budget=256, context_length=1024, micro_batch=64, threads=1, swap_enabled=True
)
LINUX_WINDOW_MIB = 105.0  # so that the starter does not fit, not even beside an empty context
LARGER_MIB = 65.0  # than that, for a budget of 330 MiB
GREEDY = SamplingSettings(temperature=0.0, max_tokens=24)
PROMPT = "Write a story about a whale."


@pytest.fixture(scope="module")
def window_mib(starter: Path) -> float:
    return LINUX_WINDOW_MIB - engine_extra_mib(starter)


@pytest.fixture(scope="module")
def empty() -> Iterator[EngineClient]:
    with EngineClient(budget=RestartBudget(1000)) as made:
        yield made


@pytest.fixture
def client(empty: EngineClient, starter: Path, window_mib: float) -> EngineClient:
    empty.load(starter, STREAMED, window_mib=window_mib)
    return empty


def set_budget(client: EngineClient, memory_budget: int) -> None:
    closing(client.submit(SetBudgetRequest, memory_budget=memory_budget))


def test_its_numbers_come_with_the_answer_and_with_the_beats(client):
    *_, last = client.generate(PROMPT, GREEDY)
    assert isinstance(last, GenerationFinished)
    stats = last.stats.weights
    assert stats.misses > 0
    assert stats.read_mib >= stats.streamed_mib * (last.stats.completion_tokens - 1) * 0.9
    wait_until(lambda: client.heartbeat.weights and client.heartbeat.weights.read_mib)
    assert client.heartbeat.weights.pinned_mib > 0


def test_the_budget_moves_while_it_talks_and_the_answer_is_the_same(client):
    calm = text_of(client.generate(PROMPT, GREEDY))
    events, budgets = [], [300, 256, 2048]
    for event in client.generate(PROMPT, GREEDY):
        events.append(event)
        if isinstance(event, AnswerDelta) and budgets:
            set_budget(client, budgets.pop(0))
    assert not budgets
    assert text_of(events) == calm
    *_, last = client.generate(PROMPT, GREEDY)
    assert last.stats.weights.streamed_mib == 0  # 2,048 MiB hold all of it


def test_a_budget_too_small_is_refused_and_changes_nothing(empty, starter, window_mib):
    larger = STREAMED.model_copy(update={"memory_budget": 330})
    empty.load(starter, larger, window_mib=window_mib + LARGER_MIB)
    with pytest.raises(BudgetTooSmall):
        set_budget(empty, 256)
    assert text_of(empty.generate(PROMPT, GREEDY))


def test_a_model_in_memory_follows_the_budgets_that_hold_it(empty, starter, window_mib):
    roomy = STREAMED.model_copy(update={"memory_budget": 2048})
    empty.load(starter, roomy, window_mib=window_mib + LARGER_MIB)
    set_budget(empty, 1024)
    assert text_of(empty.generate(PROMPT, GREEDY))
    with pytest.raises(WrongUsage, match="whole model is in memory"):
        set_budget(empty, 256)


def test_a_reload_after_a_crash_keeps_the_changed_budget(client):
    set_budget(client, 2048)
    psutil.Process(client.pid).kill()
    wait_until(lambda: client.state is EngineState.STOPPED)
    *_, last = client.generate(PROMPT, GREEDY)
    assert last.stats.weights is None  # it fits now


def test_an_idle_budget_moves_at_once(client):
    text_of(client.generate(PROMPT, GREEDY))

    def beat_after(change: int) -> tuple[float, float]:
        set_budget(client, change)
        wait_until(lambda: client.heartbeat.memory and client.heartbeat.memory.budget_mib == change)
        return client.heartbeat.weights.pinned_mib, client.heartbeat.weights.streamed_mib

    set_budget(client, 2048)
    text_of(client.generate(PROMPT, GREEDY))  # what is larger is filled when it comes by
    pinned, streamed = beat_after(256)  # what is smaller is given back without a question
    assert streamed > 0
    assert pinned < 100
