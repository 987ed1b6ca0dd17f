"""Ctrl-C and unfinished answers: what a person in a script or a notebook meets."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.errors import EngineBusy
from deepseek_r1.core.settings import LoadSettings
from support.budgets import ROOMY_MIB

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is a signal elsewhere only"),
]

LONG = "The quick brown fox jumps over the lazy dog. " * 80
CAPITAL = "What is the capital of France?"


@pytest.fixture(scope="module", params=["in memory", "streamed"])
def model(request: pytest.FixtureRequest, starter_int8: Path) -> Iterator[CPUInference]:
    streamed = request.param == "streamed"
    settings = LoadSettings(
        memory_budget=330 if streamed else ROOMY_MIB,
        swap_enabled=streamed,
        context_length=2048,
        micro_batch=2048,
    )
    with CPUInference(starter_int8, settings=settings) as loaded:
        assert (loaded.weights_stats is not None) is streamed
        yield loaded


def answer(model: CPUInference) -> str:
    """The same whenever it is asked."""
    return model.generate(CAPITAL, max_tokens=20, temperature=0)


def press_ctrl_c(after_s: float) -> threading.Timer:
    timer = threading.Timer(after_s, signal.raise_signal, (signal.SIGINT,))
    timer.start()
    return timer


def seconds_to_interrupt(model: CPUInference, prompt: str, after_s: float) -> float:
    """The time from Ctrl-C to KeyboardInterrupt."""
    began = time.monotonic()
    press_ctrl_c(after_s)
    with pytest.raises(KeyboardInterrupt):
        model.generate(prompt, max_tokens=400)
    return time.monotonic() - began - after_s


@pytest.mark.quiet
def test_ctrl_c_does_not_wait_until_the_prompt_is_read(model: CPUInference) -> None:
    expected = answer(model)
    began = time.monotonic()
    model.generate("1 " + LONG, max_tokens=1)  # in one computation
    whole_s = time.monotonic() - began
    assert seconds_to_interrupt(model, "2 " + LONG, whole_s / 3) < whole_s / 3
    assert answer(model) == expected


def test_ctrl_c_is_not_lost_where_the_answer_is_cancelled_too(model: CPUInference) -> None:
    expected = answer(model)
    for number in range(3):
        timer = threading.Timer(0.3, lambda: (signal.raise_signal(signal.SIGINT), model.cancel()))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            model.generate(f"{number} {LONG}", max_tokens=400)
        timer.join()
    assert answer(model) == expected


def test_a_cancelled_answer_that_a_variable_keeps_does_not_block_the_model(
    model: CPUInference,
) -> None:
    expected = answer(model)
    kept = model.stream("Write a long story.", max_tokens=400)
    next(kept)
    with pytest.raises(EngineBusy):
        model.generate(CAPITAL, max_tokens=20)
    model.cancel()
    assert answer(model) == expected
    assert list(kept) == []


def test_an_answer_that_another_thread_reads_is_not_ended_by_a_new_one(
    model: CPUInference,
) -> None:
    kept = model.stream("Write a long story.", max_tokens=400)
    next(kept)
    refused = []

    def ask() -> None:
        model.cancel()
        try:
            model.generate(CAPITAL, max_tokens=20)
        except EngineBusy as busy:
            refused.append(busy)

    other = threading.Thread(target=ask)
    other.start()
    other.join()
    assert refused
    *_, last = kept
    assert last.stats.finish_reason == "cancelled"


def test_a_model_is_closed_although_a_second_answer_was_refused(starter: Path) -> None:
    model = CPUInference(starter)
    first = model.stream("Write a long story.", max_tokens=400)
    second = model.stream(CAPITAL, max_tokens=20)
    next(first)
    with pytest.raises(EngineBusy):
        next(second)
    model.close()
    assert list(first) == []
