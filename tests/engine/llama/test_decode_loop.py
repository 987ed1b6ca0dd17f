"""An answer is the same token by token and many at a time, and fails where it must."""

import ctypes
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.errors import EngineFailed, TemplateUnusable
from deepseek_r1.core.events import AnswerDelta, FinishReason, GenerationEvent
from deepseek_r1.core.messages import AnswerRequest
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.engine.interface import OpenRequest
from deepseek_r1.engine.llama import runner
from deepseek_r1.engine.llama.answer.answer_decoding import DecodeLoop
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.inference.loading import open_engine
from deepseek_r1.native.native_library import LlamaBatch
from support.budgets import ROOMY_MIB
from support.prompt_chats import user

STORY = "Write on and on about a dragon."


@pytest.fixture(scope="module")
def model(shallow_starter: Path) -> Iterator[CPUInference]:
    with CPUInference(shallow_starter, memory_budget=ROOMY_MIB, context_length=256) as model:
        yield model


def nearly_random(max_tokens: int) -> SamplingSettings:
    """For answers whose end hardly ever comes up."""
    return SamplingSettings(max_tokens=max_tokens, seed=1, temperature=5.0, top_p=1.0)


def generate(model, text_every_s, sampling):
    *events, last = model.stream(STORY, sampling=sampling, text_every_s=text_every_s)
    return [each.text for each in events if isinstance(each, AnswerDelta)], last.stats


@pytest.mark.parametrize("max_tokens", [1, 2, 3, 40])
def test_the_same_seed_gives_the_same_text(model: CPUInference, max_tokens: int) -> None:
    singly, of_single = generate(model, 0.0, nearly_random(max_tokens))
    together, of_runs = generate(model, 0.03, nearly_random(max_tokens))
    assert "".join(together) == "".join(singly)
    assert len(together) <= len(singly)
    for name in ("completion_tokens", "context_used", "finish_reason", "prompt_tokens"):
        assert getattr(of_runs, name) == getattr(of_single, name), name
    assert of_runs.completion_tokens == max_tokens


@pytest.mark.slow
@pytest.mark.parametrize("word", [" sea", "The sea is wide and deep.\n"])
def test_a_repetition_ends_a_run_at_the_same_token(model: CPUInference, word: str) -> None:
    looping = SamplingSettings(
        max_tokens=250, temperature=0.0, logit_bias=dict.fromkeys(model.tokenize(word), 60.0)
    )
    texts = [
        "".join(generate(model, text_every_s, looping)[0])
        for text_every_s in (0.0, 0.03, 0.0301, 1e6)
    ]
    assert texts[0]
    assert texts == [texts[0]] * len(texts)


def test_a_full_context_ends_a_run(model: CPUInference) -> None:
    _, stats = generate(model, 0.03, nearly_random(10_000))
    assert stats.finish_reason is FinishReason.CONTEXT
    assert stats.context_used == 256


@pytest.mark.slow
@pytest.mark.quiet
def test_a_cancel_does_not_wait_for_a_run(model: CPUInference) -> None:
    events = model.stream(STORY, sampling=SamplingSettings(max_tokens=200), text_every_s=1e6)
    for event in events:
        if isinstance(event, AnswerDelta):
            model.cancel()
            break
    began = time.perf_counter()
    *_, last = events
    assert time.perf_counter() - began < 0.2
    assert last.stats.finish_reason is FinishReason.CANCELLED


def test_an_unusable_template_is_found_before_the_weights_are_read(starter: Path) -> None:
    header = replace(read_header(starter), template="{{ messages[9].content }}{% if %}")
    progress: list[float] = []
    request = OpenRequest(header, LoadSettings(), 1, lambda f: progress.append(f) is None)
    with pytest.raises(TemplateUnusable):
        open_engine(request)
    assert progress == []


@pytest.mark.integration
def test_r1s_file_opens_and_writes(r1_shaped: Path) -> None:
    settings = LoadSettings(context_length=512)
    request = OpenRequest(read_header(r1_shaped), settings, 1, lambda _fraction: True)
    with closing(open_engine(request)) as engine:
        assert engine.reasons
        question = [user("Hello")]
        assert engine.count_tokens(question) == 4  # begin, user, Hello, assistant
        events = list(
            engine.stream(AnswerRequest(question, SamplingSettings(max_tokens=8, seed=1)))
        )
        assert events[-1].kind == "generation_finished"


DECODE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, LlamaBatch)  # llama_decode


class FailingLoop(DecodeLoop):
    """Computes five tokens, then llama_decode fails."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        decode, left = DECODE(self.loop.decode), iter([True] * 5)
        self._failing = DECODE(
            lambda context, one: decode(context, one) if next(left, False) else -3
        )
        self.loop.decode = ctypes.cast(self._failing, ctypes.c_void_p).value


def test_text_that_waits_comes_before_the_failure(starter, monkeypatch):
    monkeypatch.setattr(runner, "DecodeLoop", FailingLoop)
    request = OpenRequest(read_header(starter), LoadSettings(context_length=256), 1, lambda _: True)
    question = [user("Name three colours.")]
    with closing(open_engine(request)) as engine:
        events = engine.stream(
            AnswerRequest(
                question,
                SamplingSettings(temperature=0.0, max_tokens=8),
                json_schema='{"const": "red, green and blue"}',
                text_every_s=1e6,
            )
        )
        seen: list[GenerationEvent] = []
        with pytest.raises(EngineFailed):
            seen.extend(events)
        deltas = [event for event in seen if isinstance(event, AnswerDelta)]
        assert "".join(each.text for each in deltas) in '"red, green and blue"'
        assert len(deltas) == 2  # the first token, and at the failure all that waited
