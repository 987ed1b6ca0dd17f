"""A head for a family of which llama.cpp gives out no hidden states: they are copied."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.errors import DraftUnfit, ModelRefused
from deepseek_r1.core.messages import RawPrompt
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.draft_times import DraftTimes
from deepseek_r1.engine.llama.library import library
from deepseek_r1.engine.llama.speculative.target_features import TargetFeatures
from deepseek_r1.formats.eagle3 import head_facts
from deepseek_r1.formats.gguf import read_draft_header, read_header
from deepseek_r1.hardware import default_threads
from deepseek_r1.inference.draft_profile import draft_key, save_draft_times
from deepseek_r1.memory.draft_costs import FEATURE_ROWS
from support.eagle_heads import attached, make_head, starter_head
from support.gguf_files import tiny_gemma3, tiny_qwen2, tiny_qwen3
from support.streaming import FIRST, budgets, loaded

pytestmark = pytest.mark.integration

LAYERS = (1, 1, 1)
GREEDY = SamplingSettings(temperature=0.0, max_tokens=48)
PROMPT = RawPrompt(text="and then he was in it, as you have it")
SLOW_DRIVE = DraftTimes(rows_s={1: 1.0, 16: 1.5}, read_mib_s=0.0, token_s=0.001)


def features_of(target: Path, head: Path, weights_mib: float | None, copied: bool) -> bytes:
    """What the head gets of the first tokens, computed in three parts."""
    facts = head_facts(read_draft_header(head))
    assert facts is not None
    layers = facts.layers if copied else ()
    with loaded(target, weights_mib, draft_tokens=15, copied_layers=layers) as bench:
        features = TargetFeatures(library(), bench.context, facts)
        slot = 0
        for part in (FIRST[:7], FIRST[7:8], FIRST[8 : FEATURE_ROWS - 1]):
            bench.logits(part)
            features.take()
            for row in range(len(part)):
                features.copy(row, slot)
                slot += 1
        values = bytes(features._rows)
        features.close()
    return values[: slot * len(facts.layers) * facts.target_width * 4]


@pytest.mark.parametrize("streams", [False, True])
def test_copies_are_what_llama_cpp_gives_out(
    shallow_starter: Path, tmp_path: Path, streams: bool
) -> None:
    """Shown with families that have both."""
    qwen3 = tiny_qwen3(tmp_path / "qwen3.gguf")
    pairs = {
        shallow_starter: starter_head(tmp_path / "a.gguf", shallow_starter, [5], first=1),
        qwen3: make_head(tmp_path / "b.gguf", qwen3, layers=LAYERS),
    }
    for target, head in pairs.items():
        weights_mib = budgets(target)[0] if streams else None
        given = features_of(target, head, weights_mib, copied=False)
        assert features_of(target, head, weights_mib, copied=True) == given
        assert any(given)


@pytest.mark.parametrize("streams", [False, True])
def test_copying_changes_no_bit_of_the_logits(tmp_path: Path, streams: bool) -> None:
    target = tiny_qwen2(tmp_path / "target.gguf")
    head_file = make_head(tmp_path / "head.gguf", target, layers=LAYERS)
    weights_mib = budgets(target)[0] if streams else None
    logits = []
    for layers in ((), LAYERS):
        with loaded(target, weights_mib, draft_tokens=15, copied_layers=layers) as bench:
            head = attached(bench, head_file) if layers else None
            logits.append(bench.answer(FIRST, 12))
            if head is not None:
                assert len(head._cells) > 20
                head.close()
                logits.append(bench.answer(FIRST, 1))  # nothing is copied any more
    assert logits[0] == logits[1]
    assert len(logits[2]) == 2


def test_a_qwen2_model_writes_with_a_head_what_it_writes_without(tmp_path: Path) -> None:
    target = tiny_qwen2(tmp_path / "target.gguf")
    options = {"memory_budget": 2048, "context_length": 256}
    with CPUInference(target, drafts="off", **options) as model:
        text = model.complete(PROMPT, sampling=GREEDY).text
        written = sorted(set(model._engine._context.cells[-40:]))
    head = make_head(tmp_path / "head.gguf", target, layers=LAYERS, table=written)
    headers = read_header(target), read_draft_header(head)
    save_draft_times(draft_key(*headers, default_threads(), streams=False), SLOW_DRIVE)
    with CPUInference(target, draft_model=head, **options) as model:
        for _ in range(2):
            result = model.complete(PROMPT, sampling=GREEDY)
            assert result.text == text
            assert 0 < result.stats.accepted <= result.stats.drafted


def refusal(target: Path, head: Path) -> str:
    with pytest.raises(ModelRefused) as caught:
        CPUInference(target, draft_model=head, memory_budget=2048).close()
    assert isinstance(caught.value, DraftUnfit)
    return str(caught.value)


def test_a_head_that_reads_the_embedding_is_refused(tmp_path: Path) -> None:
    target = tiny_qwen2(tmp_path / "target.gguf")
    head = make_head(tmp_path / "head.gguf", target, layers=(0, 1, 1))
    assert "what the first layer gets" in refusal(target, head)


def test_a_family_without_hidden_states_is_refused(tmp_path: Path) -> None:
    target = tiny_gemma3(tmp_path / "target.gguf")
    head = make_head(tmp_path / "head.gguf", target)
    assert "no hidden states of the family gemma3" in refusal(target, head)
