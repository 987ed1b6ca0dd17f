"""Ctrl-C and unfinished answers: what a person in a script or a notebook meets."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.errors import EngineBusy
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from support.budgets import ROOMY_MIB

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is a signal elsewhere only"),
]

LONG = "The quick brown fox jumps over the lazy dog. " * 80
CAPITAL = "Name the capital of France."
# The starter's two ends of a text are ruled out: an answer lasts until Ctrl-C, however late.
NEVER_ENDING = SamplingSettings(logit_bias={0: -100.0, 2: -100.0}, end_repetition=False)


@pytest.fixture(scope="module", params=["in memory", "streamed"])
def model(request: pytest.FixtureRequest, starter_int8: Path) -> Iterator[CPUInference]:
    streamed = request.param == "streamed"
    settings = LoadSettings(
        memory_budget=380 if streamed else ROOMY_MIB,
        swap_enabled=streamed,
        context_length=3072,
        micro_batch=1024,
    )
    with CPUInference(starter_int8, settings=settings, batch_size=2, window_mib=110.0) as loaded:
        assert (loaded.weights_stats is not None) is streamed
        yield loaded


def answer(model: CPUInference) -> str:
    """The same whenever it is asked."""
    return model.generate(CAPITAL, max_tokens=8, temperature=0)


def interrupt_reading(model, prompt, press, after_s=0.05):
    """Press Ctrl-C while a prompt is computed; returns the seconds until KeyboardInterrupt."""
    events = model.stream(prompt, max_tokens=1500, sampling=NEVER_ENDING)
    next(events)  # what follows computes the prompt
    timer, began = threading.Timer(after_s, press), time.monotonic()
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            list(events)
        return time.monotonic() - began - after_s
    finally:
        timer.cancel()
        timer.join()


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.mark.slow
@pytest.mark.quiet
def test_ctrl_c_does_not_wait_until_the_prompt_is_read(model: CPUInference) -> None:
    expected = answer(model)
    began = time.monotonic()
    model.generate("1 " + LONG, max_tokens=1)  # in one computation
    whole_s = time.monotonic() - began
    seconds = interrupt_reading(model, "2 " + LONG, press_ctrl_c, whole_s / 3)
    assert seconds < whole_s / 3
    assert answer(model) == expected


def test_ctrl_c_is_not_lost_where_the_answer_is_cancelled_too(model: CPUInference) -> None:
    def press() -> None:
        press_ctrl_c()
        model.cancel()

    expected = answer(model)
    for number in range(3):
        interrupt_reading(model, f"{number} {LONG}", press)
    assert answer(model) == expected


def test_an_interrupted_prompt_leaves_the_next_one_alone(model: CPUInference) -> None:
    expected = answer(model)
    for number in range(4):
        interrupt_reading(model, f"{number} {LONG}", press_ctrl_c)
        assert answer(model) == expected


def ask_on_and_on(model: CPUInference, questions: list[str]) -> None:
    for number in range(1000):
        model.generate([*questions, f"{number} {LONG}"], max_tokens=8, temperature=0)


@pytest.mark.slow
def test_ctrl_c_among_several_answers_leaves_no_wrong_cells(model: CPUInference) -> None:
    questions = [CAPITAL, CAPITAL + " " + LONG]
    assert "Paris" in model.generate(questions, max_tokens=12, temperature=0)[0]
    timer = threading.Timer(0.2, press_ctrl_c)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        ask_on_and_on(model, questions)
    timer.join()
    assert "Paris" in model.generate(questions, max_tokens=12, temperature=0)[0]


def test_a_cancelled_answer_that_a_variable_keeps_does_not_block_the_model(model):
    expected = answer(model)
    kept = model.stream("Write a long story.", max_tokens=400)
    next(kept)
    with pytest.raises(EngineBusy):
        model.generate(CAPITAL, max_tokens=20)
    model.cancel()
    refused_elsewhere(model)
    assert answer(model) == expected
    assert list(kept) == []


def refused_elsewhere(model: CPUInference) -> None:
    """Ask in another thread, and be refused."""
    refused = []

    def ask() -> None:
        try:
            model.generate(CAPITAL, max_tokens=20)
        except EngineBusy as busy:
            refused.append(busy)

    other = threading.Thread(target=ask)
    other.start()
    other.join()
    assert refused


def test_an_answer_that_another_thread_reads_is_not_ended_by_a_new_one(model: CPUInference) -> None:
    kept = model.stream("Write a long story.", max_tokens=400)
    next(kept)
    model.cancel()
    refused_elsewhere(model)
    *_, last = kept
    assert last.stats.finish_reason == "cancelled"


def test_a_model_is_closed_although_a_second_answer_was_refused(shallow_starter: Path) -> None:
    model = CPUInference(shallow_starter)
    first = model.stream("Write a long story.", max_tokens=400)
    second = model.stream(CAPITAL, max_tokens=20)
    next(first)
    with pytest.raises(EngineBusy):
        next(second)
    model.close()
    assert list(first) == []
