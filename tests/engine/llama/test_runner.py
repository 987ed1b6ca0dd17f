"""A file of R1's shape opens and answers; one with an unusable template does not."""

from __future__ import annotations

import ctypes
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deepseek_r1.core.errors import EngineFailed, TemplateUnusable
from deepseek_r1.core.events import AnswerDelta, GenerationEvent
from deepseek_r1.core.messages import AnswerRequest
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.engine.llama import runner
from deepseek_r1.engine.llama.answer.answer_decoding import DecodeLoop
from deepseek_r1.engine.protocol.base import OpenRequest
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.inference.registry import open_engine
from deepseek_r1.native.native_library import LlamaBatch
from support.prompt_chats import user

pytestmark = pytest.mark.integration


def test_an_unusable_template_is_found_before_the_weights_are_read(starter: Path) -> None:
    header = replace(read_header(starter), template="{{ messages[9].content }}{% if %}")
    progress: list[float] = []
    request = OpenRequest(header, LoadSettings(), 1, lambda f: progress.append(f) is None)
    with pytest.raises(TemplateUnusable):
        open_engine(request)
    assert progress == []


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


def test_text_that_waits_comes_before_the_failure(
    starter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
