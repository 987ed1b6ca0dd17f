"""Thread counts are measured by trial, kept by machine and shape, and never in the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from deepseek_r1.core.events import AnswerDelta, PrefillProgress, ThreadsMeasured
from deepseek_r1.inference import thread_profile
from deepseek_r1.inference.thread_profile import (
    MEASURE_S,
    counts_to_measure,
    load_profile,
    measure_threads,
)
from deepseek_r1.memory.drafts import shape_key
from memory.headers import header


class Model:
    """Reads twice as fast with each thread up to four; writes best with three."""

    def __init__(self) -> None:
        self.now_s, self.threads, self.calls = 0.0, (0, 0), []

    def clock(self) -> float:
        return self.now_s

    def set_threads(self, threads: int, threads_prefill: int) -> None:
        self.threads = threads, threads_prefill
        self.calls.append(self.threads)

    def stream(self, prompt: str, max_tokens=None, *, sampling) -> Iterator:
        total = len(prompt.split()) * 5
        for done in range(0, total + 1, 50):
            yield PrefillProgress(done=done, total=total, cached=0)
            self.now_s += 50 / (100 * min(4, self.threads[1]))
        for count in range(1, sampling.max_tokens):
            self.now_s += 0.1 / (self.threads[0] if self.threads[0] <= 3 else 2)
            yield AnswerDelta(text="a", completion_tokens=count)


def test_the_best_counts_are_found_in_time():
    model = Model()
    found = measure_threads(model, (1, 2, 3, 4), 4096, clock=model.clock)
    assert (found.threads, found.threads_prefill) == (3, 4)
    assert found.decode_tok_s[3] == pytest.approx(30, rel=0.01)
    assert found.prefill_tok_s[2] == pytest.approx(200, rel=0.1)
    assert model.now_s <= 20
    assert model.threads == (0, 0)


def test_up_and_down_so_that_a_warming_machine_favours_none():
    model = Model()
    measure_threads(model, (1, 2), 4096, clock=model.clock)
    assert model.calls == [(1, 1), (2, 2), (2, 2), (1, 1), (0, 0)]


def test_no_more_is_measured_than_is_wanted():
    model = Model()
    found = measure_threads(model, (1, 2, 3), 4096, lambda: False, clock=model.clock)
    assert found.threads == 1
    assert model.now_s < MEASURE_S / 2
    assert model.threads == (0, 0)


@pytest.mark.parametrize(
    ("cores", "counts"), [(1, (1,)), (2, (1, 2)), (8, (1, 2, 4, 7, 8)), (16, (1, 4, 8, 15, 16))]
)
def test_few_counts_are_enough(cores, counts):
    assert counts_to_measure(cores) == counts


FOUND = ThreadsMeasured(threads=3, threads_prefill=4, decode_tok_s={3: 9}, prefill_tok_s={4: 90})


def test_what_was_measured_is_kept_by_shape(tmp_path):
    file, model = tmp_path / "profile" / "threads.json", header()
    assert load_profile(model, file) is None
    thread_profile.save_profile(model, FOUND, file)
    assert load_profile(model, file) == FOUND
    assert load_profile(replace(model, embedding=model.embedding * 2), file) is None


def test_a_damaged_file_is_measured_anew(tmp_path):
    file = tmp_path / "threads.json"
    file.write_text('{"measured": 7')
    assert load_profile(header(), file) is None
    thread_profile.save_profile(header(), FOUND, file)
    assert load_profile(header(), file) == FOUND


def test_a_damaged_entry_leaves_the_others(tmp_path):
    file, model = tmp_path / "threads.json", header()
    other = replace(model, embedding=model.embedding * 2)
    thread_profile.save_profile(model, FOUND, file)
    thread_profile.save_profile(other, FOUND, file)
    stored = json.loads(file.read_text())
    stored["measured"][shape_key(other)]["threads"] = "many"
    file.write_text(json.dumps(stored))
    assert load_profile(other, file) is None
    assert load_profile(model, file) == FOUND
