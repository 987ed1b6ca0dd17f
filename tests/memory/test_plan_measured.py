"""The bill against the truth: the peak of a fresh engine process after it has answered.

Full micro-batches are what the peak needs. The cache is in memory from the start, so that a filled
context adds only the last rows of the attention's mask: it is filled in one case for each model,
where that is quick.
"""

import sys
from collections.abc import Sequence
from math import ceil
from pathlib import Path

import pytest

from deepseek_r1.core.events import (
    BillItem,
    BillLine,
    GenerationFinished,
)
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import KVType, LoadSettings, SamplingSettings
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.host.client import EngineClient
from deepseek_r1.host.protocol import CountTokensRequest
from deepseek_r1.memory import meter
from deepseek_r1.memory.plan import ProcessOverhead, plan
from support.budgets import engine_extra_mib
from support.closing_replies import closing
from support.hybrids import QWEN35_08B, qwen35
from support.real_models import r1_shaped

pytestmark = pytest.mark.integration

TOLERANCE = 0.05
ANSWER_TOKENS = 12


def question(count: int) -> list[Message]:
    return [Message(role=Role.USER, content="one" + " one" * count)]


def tokens_of(engine: EngineClient, messages: Sequence[Message]) -> int:
    request = engine.submit(CountTokensRequest, messages=tuple(messages))
    return closing(request).tokens


def peak_of(path, settings, *, filled):
    """Load in a new process, read a long prompt, write a little; the peak in MiB."""
    with EngineClient() as engine:
        loaded = engine.load(path, settings)
        whole = settings.context_length - ANSWER_TOKENS - 8
        spare = whole if filled else min(whole, settings.micro_batch + 16)
        none, one = (tokens_of(engine, question(count)) for count in range(2))
        messages = question((spare - none) // (one - none))
        assert 0.95 * spare < tokens_of(engine, messages) <= spare
        sampling = SamplingSettings(max_tokens=ANSWER_TOKENS, temperature=1.0, seed=1)
        *_, last = engine.generate(messages, sampling)
        assert isinstance(last, GenerationFinished)
        assert engine.pid is not None
        assert engine.heartbeat is not None
        helper_mib = engine.heartbeat.helper_mib  # the process that renders templates
        return loaded, last.stats, meter.peak_mib(engine.pid) + helper_mib


def check(path: Path, context: int, kv_type: KVType, batch: int, *, filled: bool) -> None:
    settings = LoadSettings(context_length=context, kv_type=kv_type, micro_batch=batch)
    loaded, stats, peak_mib = peak_of(path, settings, filled=filled)
    bill = loaded.bill
    if sys.platform == "linux":  # elsewhere the engine measures its own share
        planned = plan(read_header(path), settings, ProcessOverhead()).bill
        assert bill.total_mib == pytest.approx(planned.total_mib)
    unused_mib = 0.0 if filled else bill.mib_of(BillItem.KV_CACHE, BillItem.COMPUTE)
    least_mib, most_mib = bill.total_mib - unused_mib, bill.total_mib
    assert (1 - TOLERANCE) * least_mib < peak_mib < (1 + TOLERANCE) * most_mib, bill
    if not filled:  # cells without tokens take no memory
        assert peak_mib < most_mib - 0.5 * bill.mib_of(BillItem.KV_CACHE)
    assert stats.peak_mib == pytest.approx(peak_mib, rel=0.01)
    assert stats.context_used > (0.9 * context if filled else batch)


STARTER = [
    (1024, KVType.F16, 256, True),
    (640, KVType.Q4_0, 512, True),
    (4096, KVType.Q8_0, 64, False),
    (4096, KVType.F16, 512, False),
]


@pytest.mark.slow
@pytest.mark.parametrize(("context", "kv_type", "batch", "filled"), STARTER)
def test_the_starter_models_bill_is_its_peak(starter, context, kv_type, batch, filled):
    check(starter, context, kv_type, batch, filled=filled)


R1_SHAPED = [
    (512, KVType.F16, 256, True),
    (2048, KVType.Q8_0, 64, False),
    (4096, KVType.Q4_0, 512, False),
    (4096, KVType.Q8_0, 256, False),
    (4096, KVType.Q4_0, 64, False),
]


@pytest.mark.slow
@pytest.mark.parametrize(("context", "kv_type", "batch", "filled"), R1_SHAPED)
def test_the_bill_of_an_r1_shaped_model_is_its_peak(
    tmp_path_factory, context, kv_type, batch, filled
):
    check(r1_shaped(tmp_path_factory), context, kv_type, batch, filled=filled)


@pytest.mark.slow
def test_slots_that_fill_while_a_model_loads_are_not_taken_for_the_engine(tmp_path_factory):
    path = r1_shaped(tmp_path_factory)
    streamed = LoadSettings(memory_budget=900, context_length=1024, swap_enabled=True)
    in_memory = LoadSettings(memory_budget=2400, context_length=1024)
    lines, calm = measured_lines(path, streamed), measured_lines(path, in_memory)
    assert lines["slots"].measured_mib == lines["slots"].planned_mib > 30
    more = lines["runtime"].measured_mib - calm["runtime"].measured_mib
    assert abs(more) < lines["slots"].planned_mib / 2


@pytest.mark.slow
@pytest.mark.parametrize("linux_mib", [2048, 290], ids=["resident", "streamed"])
def test_the_bill_of_a_model_with_a_draft_model_is_its_peak(starter, shallow_starter, linux_mib):
    settings = LoadSettings(
        context_length=2048,
        memory_budget=linux_mib + ceil(engine_extra_mib(starter)),
        swap_enabled=True,
        draft_model=str(shallow_starter),
    )
    loaded, stats, peak_mib = peak_of(starter, settings, filled=True)
    assert loaded.bill.fits
    assert loaded.bill.streams is (linux_mib == 290)
    assert stats.draft_s > 0
    assert peak_mib < (1 + TOLERANCE) * loaded.bill.total_mib


@pytest.mark.slow
@pytest.mark.parametrize("linux_mib", [2048, 420], ids=["resident", "streamed"])
def test_the_bill_of_a_model_with_a_recurrent_state_is_its_peak(tmp_path, linux_mib):
    model = qwen35(tmp_path / "hybrid.gguf", shape=QWEN35_08B)
    budget = linux_mib + ceil(engine_extra_mib(model))
    settings = LoadSettings(context_length=1024, memory_budget=budget, swap_enabled=True)
    loaded, stats, peak_mib = peak_of(model, settings, filled=True)
    assert loaded.bill.streams is (linux_mib == 420)
    (cells,) = (line for line in loaded.bill.lines if line.name is BillItem.KV_CACHE)
    assert cells.measured_mib == pytest.approx(cells.planned_mib)
    assert loaded.bill.mib_of(BillItem.STATE) > 70
    assert stats.context_used > 900
    assert peak_mib < (1 + TOLERANCE) * loaded.bill.total_mib


def measured_lines(path: Path, settings: LoadSettings) -> dict[str, BillLine]:
    """The lines of the bill after a load in a new process."""
    with EngineClient() as engine:
        return {line.name: line for line in engine.load(path, settings).bill.lines}
