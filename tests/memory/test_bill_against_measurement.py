"""The bill against the truth: the peak of a fresh engine process whose context was filled."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deepseek_r1.core.events import GenerationFinished, GenerationStats, ModelLoaded
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import KVType, LoadSettings, SamplingSettings
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.host.client import EngineClient
from deepseek_r1.memory import meter
from deepseek_r1.memory.plan import ProcessShare, plan

pytestmark = pytest.mark.native

TOLERANCE = 0.05
ANSWER_TOKENS = 12
MAKE_R1_SHAPED = Path(__file__).resolve().parents[3] / "shared/tools/make_r1_shaped_gguf.py"


def question(words: int) -> list[Message]:
    return [Message(role=Role.USER, content="one" + " one" * words)]


def peak_of(path: Path, settings: LoadSettings) -> tuple[ModelLoaded, GenerationStats, float]:
    """Load in a new process, fill the context, write a little; the peak in MiB."""
    with EngineClient() as engine:
        loaded = engine.load(path, settings)
        room = settings.context_length - ANSWER_TOKENS - 8
        frame = engine.count_tokens(question(0))
        messages = question(room - frame)
        assert 0.95 * room < engine.count_tokens(messages) <= room
        sampling = SamplingSettings(max_tokens=ANSWER_TOKENS, temperature=1.0, seed=1)
        *_, last = engine.generate(messages, sampling)
        assert isinstance(last, GenerationFinished)
        assert engine.pid is not None
        return loaded, last.stats, meter.peak_mib(engine.pid)


def check(path: Path, settings: LoadSettings) -> None:
    loaded, stats, peak_mib = peak_of(path, settings)
    bill = plan(read_header(path), settings, ProcessShare())
    # The engine measures its own runtime, the plan has a constant for it.
    assert loaded.bill.total_mib == pytest.approx(bill.total_mib, rel=0.01)
    assert peak_mib == pytest.approx(bill.total_mib, rel=TOLERANCE), bill
    assert stats.peak_mib == pytest.approx(peak_mib, rel=0.01)
    assert stats.context_used > 0.9 * settings.context_length


STARTER = [
    (2048, KVType.F16, 256),
    (2048, KVType.Q4_0, 512),
    (4096, KVType.Q8_0, 64),
]


@pytest.mark.slow
@pytest.mark.parametrize(("context", "kv_type", "batch"), STARTER)
def test_the_starter_models_bill_is_its_peak(starter, context, kv_type, batch):
    check(starter, LoadSettings(context_length=context, kv_type=kv_type, micro_batch=batch))


R1_SHAPED = [
    (2048, KVType.F16, 256),
    (2048, KVType.Q8_0, 64),
    (2048, KVType.Q4_0, 512),
    (4096, KVType.F16, 512),
    (4096, KVType.Q8_0, 256),
    (4096, KVType.Q4_0, 64),
]


@pytest.fixture(scope="module")
def r1_shaped(tmp_path_factory):
    """DeepSeek-R1-Distill-Qwen-1.5B's shapes and tokenizer with random weights, 1.1 GB."""
    if not MAKE_R1_SHAPED.is_file():
        pytest.skip(f"{MAKE_R1_SHAPED} is not here")
    path = tmp_path_factory.mktemp("models") / "r1-1.5b.gguf"
    subprocess.run([sys.executable, MAKE_R1_SHAPED, "--size", "1.5b", path], check=True)
    yield path
    path.unlink()


@pytest.mark.slow
@pytest.mark.parametrize(("context", "kv_type", "batch"), R1_SHAPED)
def test_the_bill_of_an_r1_shaped_model_is_its_peak(r1_shaped, context, kv_type, batch):
    check(r1_shaped, LoadSettings(context_length=context, kv_type=kv_type, micro_batch=batch))
