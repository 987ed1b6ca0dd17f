"""A draft model with which answers are slower gives its memory to the target's weights."""

import sys
import threading
from math import ceil
from pathlib import Path

import pytest

from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.core.events import Bill, BillItem
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.engine.llama.speculative import drafting
from deepseek_r1.engine.llama.speculative.drafting import DraftMemory, undrafted_s
from deepseek_r1.memory.forecast import model_bill
from deepseek_r1.weights.residency import Residency, plan_residency
from memory.headers import streamable
from support.command import run_code
from support.distribution import streamed

STORY = "Tell me a story about a fox."


def test_a_budget_that_moves_while_the_draft_model_is_freed_leaves_one_plan() -> None:
    """Whichever comes first: what the weights follow is what the next answers are priced with."""
    before, before_without, after, after_without = (plan_of(mib) for mib in (90, 110, 100, 120))
    for _ in range(200):
        in_force: list[Residency] = []
        memory = DraftMemory(None, before, before_without, in_force.append, plan_of)
        ready = threading.Barrier(2)
        freeing = threading.Thread(target=lambda m=memory, r=ready: (r.wait(), m.release()))
        freeing.start()
        ready.wait()
        memory.set_residency(after, after_without)
        freeing.join()
        assert memory.residencies == (in_force[-1], in_force[-1])


def is_billed(bill: Bill) -> bool:
    return BillItem.DRAFT in {line.name for line in bill.lines}


def plan_of(mib: float) -> Residency:
    return plan_residency(streamable(4, 2 << 20), mib)


def test_a_pass_without_the_draft_model_reads_less_and_computes_as_much() -> None:
    with_draft, without = plan_of(90), plan_of(130)
    share = without.streamed_mib / with_draft.streamed_mib
    assert undrafted_s(1.0, 0.0, with_draft, without) == pytest.approx(share)
    assert undrafted_s(1.0, 0.1, with_draft, without) == pytest.approx(0.9 * share + 0.1)
    assert undrafted_s(1.0, 0.9, with_draft, without) == 1.0


@pytest.mark.slow
def test_a_slow_draft_model_stays_for_its_answer_and_is_not_loaded_again(
    starter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for this pair and budget: the line under the answer says so, and each bill."""
    monkeypatch.setenv("R1DESK_PROFILE", str(tmp_path))
    monkeypatch.setattr(drafting, "_SLOWER", 0.0)  # every answer is slower
    monkeypatch.setattr(drafting, "_LEAST_TOKENS", 1)
    monkeypatch.setattr(drafting, "_LEAST_PLAIN", 0)
    hot = SamplingSettings(temperature=2.0, top_p=1.0, seed=3, max_tokens=40)
    with streamed(starter, 400, draft_model=starter) as model:
        assert is_billed(model.loaded.bill)
        before = model.weights_stats
        assert model.complete(STORY, sampling=hot).stats.draft_released
        assert not model.memory.draft_released
        assert model.complete(STORY, sampling=hot).stats.draft_released
        assert model.memory.draft_released
        after = model.weights_stats
        assert after.pinned_mib > before.pinned_mib + 20
        runtime = {line.name: line for line in model.loaded.bill.lines}[BillItem.RUNTIME]
        grown = ceil(max(0.0, runtime.measured_mib - runtime.planned_mib))  # pytest's process
        model.set_memory_budget(400 + grown)
        assert not is_billed(model.loaded.bill)
        assert model.loaded.bill.fits
    asked = LoadSettings(memory_budget=400, context_length=512, draft_model=str(starter))
    with HeaderProcess() as headers:
        planned = model_bill(headers.read_header, starter, asked, 100.0, measure_disk=False).bill
    assert not is_billed(planned)
    with streamed(starter, 400, draft_model=starter) as model:
        assert not is_billed(model.loaded.bill)
        assert model.complete(STORY, sampling=hot).stats.draft_released
    with streamed(starter, 404, draft_model=starter) as model:
        assert is_billed(model.loaded.bill)


@pytest.mark.parametrize(("slower", "least_plain"), [(1e6, 0), (0.0, 10_000)])
def test_a_draft_model_that_pays_is_kept_and_so_is_one_of_which_too_little_is_known(
    slower, least_plain, shallow_starter, tmp_path, monkeypatch
):
    """A verdict on one plain pass or two threw out draft models that paid, for good."""
    monkeypatch.setenv("R1DESK_PROFILE", str(tmp_path))
    monkeypatch.setattr(drafting, "_SLOWER", slower)
    monkeypatch.setattr(drafting, "_LEAST_PLAIN", least_plain)
    with streamed(shallow_starter, 400, draft_model=shallow_starter) as model:
        greedy = SamplingSettings(temperature=0.0, max_tokens=40)
        for _ in range(2):
            assert not model.complete(STORY, sampling=greedy).stats.draft_released
        assert not model.memory.draft_released


GIVES_ITS_DRAFT_MODEL_UP = """
import os, sys

from deepseek_r1 import CPUInference
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.llama.speculative import drafting
from deepseek_r1.memory.meter import unshared_mib

drafting._SLOWER, drafting._LEAST_TOKENS, drafting._LEAST_PLAIN = 0.0, 1, 0
hot = SamplingSettings(temperature=2.0, top_p=1.0, seed=3, max_tokens=16)
target, draft, budget_mib, window_mib = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
with CPUInference(
    target, draft_model=draft, memory_budget=budget_mib, context_length=512, swap_enabled=True,
    window_mib=window_mib,
) as model:
    for _ in range(3):
        stats = model.complete("Tell me a story about a fox.", sampling=hot).stats
        print(model.memory.draft_released, unshared_mib(os.getpid()), stats.peak_mib)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the bill's runtime is Linux's")
def test_a_process_takes_no_more_memory_once_its_draft_model_is_given_up(
    starter: Path, shallow_starter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stood at 1,413 of 1,400 MiB: a freed vocabulary stayed, and weights took its place."""
    monkeypatch.setenv("R1DESK_PROFILE", str(tmp_path))
    pair = [str(starter), str(shallow_starter), "266", "60"]
    lines = run_code(GIVES_ITS_DRAFT_MODEL_UP, *pair).stdout.splitlines()
    released, used_mib, peak_mib = zip(*(line.split() for line in lines), strict=True)
    assert released == ("False", "True", "True")
    assert max(map(float, used_mib[1:])) <= float(used_mib[0]) + 4
    assert max(map(float, peak_mib[1:])) <= max(float(peak_mib[0]), 206.0) + 1
