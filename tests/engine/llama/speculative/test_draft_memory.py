"""A draft model that does not make up for its memory gives it to the target's weights."""

from __future__ import annotations

import ctypes
import math
import random
import sys
import threading
from pathlib import Path
from typing import cast

import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.events import BillItem
from deepseek_r1.core.heap import trim_heap
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.draft_times import DraftTimes
from deepseek_r1.engine.llama.speculative.draft_memory import (
    DraftMemory,
    MemoryGuard,
    is_worth_loading,
)
from deepseek_r1.engine.llama.speculative.draft_setup import CacheDropping
from deepseek_r1.engine.llama.speculative.model_proposer import ModelProposer
from deepseek_r1.engine.llama.speculative.row_curve import RowCurve
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.hardware import default_threads
from deepseek_r1.hardware.storage import RawFile
from deepseek_r1.inference.draft_profile import draft_key, save_draft_times
from deepseek_r1.weights.placement.residency import Residency, plan_residency
from memory.headers import streamable

STORY = "Tell me a story about a fox."
ROWS_S = {1: 0.1, 16: 0.5}


def test_a_draft_model_pays_while_it_displaces_few_weights() -> None:
    """Reading seven parts in place of six is worth it; twelve in place of one is not."""
    seven, twelve, six, one = (RowCurve(ROWS_S, read_s) for read_s in (0.7, 1.2, 0.6, 0.1))
    assert is_worth_loading(seven, six, token_s=0.02)
    assert not is_worth_loading(twelve, one, token_s=0.02)
    assert not is_worth_loading(seven, six, token_s=0.7)


def test_a_trial_must_not_cost_more_than_a_few_tokens() -> None:
    """Neither the first wrong draft nor reading weights again, once the draft model is freed."""
    three, one = (RowCurve(ROWS_S, read_s) for read_s in (0.3, 0.1))
    assert is_worth_loading(three, one, token_s=0.005)
    assert not is_worth_loading(three, one, token_s=0.005, refill_s=0.3)
    four = RowCurve(ROWS_S, 0.7)
    assert not is_worth_loading(four, one, token_s=0.0)


@pytest.mark.parametrize("worth", [0.0, 0.3, 0.7, 1.0, 1.5, 2.5])
def test_any_two_hundred_tokens_take_hardly_longer_than_without_the_draft_model(
    worth: float,
) -> None:
    """Whatever drafts bring, by chance, in a pass of 1.2, where a plain pass takes 1.2 as well."""
    chance, guard, share = random.Random(7), MemoryGuard(), 1 / 1.2
    taken: list[float] = []  # of each token, in plain tokens without the draft model
    while len(taken) < 20_000:
        if guard.exceeded:
            taken.append(1.0)
            continue
        brought = 1 + int(worth + chance.random())
        guard.observe(1.0, brought, share)
        taken += [1.2 / brought] * brought
    sums = [sum(taken[:200])]
    for at in range(200, len(taken)):
        sums.append(sums[-1] + taken[at] - taken[at - 200])
    assert max(sums) <= 200 / 0.97
    assert guard.exceeded or worth
    assert not guard.exceeded or worth < 0.7


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


class SmallBlocks:
    """A model of 64 MiB in small blocks, as a vocabulary is; one after them stays in use."""

    def __init__(self, *, is_freed: bool) -> None:
        self._libc = ctypes.CDLL(None)
        self._libc.malloc.restype, self._libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
        self._blocks = [self._libc.malloc(1024) for _ in range(64 << 10)]
        for block in self._blocks:
            ctypes.memset(block, 1, 1024)
        self._libc.malloc(1024)
        self._is_freed = is_freed

    def close(self) -> None:
        for block in self._blocks if self._is_freed else ():
            self._libc.free(block)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's heap")
@pytest.mark.parametrize(("is_freed", "mib"), [(True, 130), (False, 90)])
def test_the_weights_get_what_the_process_gave_back(is_freed: bool, mib: int) -> None:
    """A freed vocabulary stayed in the heap, and the process stood at 1,413 of 1,400 MiB."""
    in_force: list[Residency] = []
    model = cast(ModelProposer, SmallBlocks(is_freed=is_freed))
    memory = DraftMemory(model, plan_of(90), plan_of(130), in_force.append, plan_of)
    trim_heap()  # what other tests left is given back now
    memory.release()
    assert mib - 9 < in_force[-1].total_mib <= mib
    memory.set_residency(plan_of(100), plan_of(140))
    assert mib + 1 < in_force[-1].total_mib <= mib + 10


def plan_of(mib: float) -> Residency:
    return plan_residency(streamable(4, 2 << 20), mib)


def loaded_pair(starter: Path, times: DraftTimes) -> CPUInference:
    header = read_header(starter)
    key = draft_key(header, header, default_threads(), streams=True)
    save_draft_times(key, times)
    return CPUInference(
        starter,
        draft_model=starter,
        memory_budget=400,
        context_length=512,
        swap_enabled=True,
        window_mib=100.0,
    )


@pytest.mark.integration
def test_a_draft_model_that_cannot_pay_is_freed_by_the_load(
    starter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("R1DESK_PROFILE", str(tmp_path))
    slow = DraftTimes(rows_s=ROWS_S, read_mib_s=100.0, token_s=2.0)
    with loaded_pair(starter, slow) as model:
        assert model.memory.draft_released
        bill = model.loaded.bill
        assert bill.fits
        assert BillItem.DRAFT not in {line.name for line in bill.lines}
        stats = model.complete(STORY, sampling=SamplingSettings(temperature=0, max_tokens=8)).stats
        assert stats.draft_released
        assert stats.completion_tokens > 1


@pytest.mark.integration
def test_a_draft_model_that_is_mostly_wrong_is_freed_and_the_answer_goes_on(
    starter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hot answers differ from the most likely tokens, which the draft model proposes."""
    monkeypatch.setenv("R1DESK_PROFILE", str(tmp_path))
    times = DraftTimes(rows_s=ROWS_S, read_mib_s=1000.0, token_s=0.02)
    hot = SamplingSettings(temperature=2.0, top_p=1.0, seed=3, max_tokens=120)
    with loaded_pair(starter, times) as model:
        assert not model.memory.draft_released
        assert BillItem.DRAFT in {line.name for line in model.loaded.bill.lines}
        before = model.weights_stats
        stats = [model.complete(STORY, sampling=hot).stats for _ in range(3)][-1]
        after = model.weights_stats
        assert stats.draft_released
        assert before is not None
        assert after is not None
        assert after.pinned_mib > before.pinned_mib + 20
        runtime = {line.name: line for line in model.loaded.bill.lines}[BillItem.RUNTIME]
        grown = math.ceil(max(0.0, runtime.measured_mib - runtime.planned_mib))  # pytest's process
        model.set_memory_budget(400 + grown)
        assert BillItem.DRAFT not in {line.name for line in model.loaded.bill.lines}
        assert model.loaded.bill.fits
        model.set_memory_budget(380 + grown)
        assert model.complete(STORY, sampling=hot).stats.completion_tokens > 1


class CachedFile(RawFile):
    """A file of 100 MiB that counts how often its page cache was dropped."""

    def __init__(self) -> None:
        self.nbytes, self.dropped = 100 << 20, 0

    def drop_cache(self, offset: int, nbytes: int) -> None:
        assert (offset, nbytes) == (0, self.nbytes)
        self.dropped += 1


def test_a_load_leaves_nothing_in_the_page_cache() -> None:
    """A limit of a control group counts the page cache as well as the plan's memory."""
    file = CachedFile()
    fractions: list[float] = []
    progress = CacheDropping([file], lambda fraction: fractions.append(fraction) is None)
    for step in range(101):
        assert progress(step / 100)
    assert len(fractions) == 101
    assert file.dropped == 4  # after 32, 64 and 96 MiB, and at the end
    assert not CacheDropping([file], lambda _fraction: False)(0.5)
