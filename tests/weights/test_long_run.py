"""Memory stays flat however long a streamed model writes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from deepseek_r1.core.events import GenerationFinished
from deepseek_r1.core.messages import AnswerRequest, Message, Role
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.engine.protocol.base import OpenRequest
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.inference.registry import open_engine
from deepseek_r1.memory.meter import process_mib
from deepseek_r1.weights.residency import least_weights_mib, plan_residency
from support.gguf_files import tiny_qwen2

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="streams, and reads Linux's counters"),
]

TOKENS, EVERY = 3000, 300


def test_long_answers_from_the_disk_take_no_more_memory(tmp_path: Path) -> None:
    """10,000 tokens of one answer are in docs/measurements/streaming.md."""
    header = read_header(tiny_qwen2(tmp_path / "model.gguf"))
    settings = LoadSettings(context_length=512, swap_enabled=True, threads=1)
    residency = plan_residency(header, least_weights_mib(header))
    engine = open_engine(OpenRequest(header, settings, 1, lambda _: True, residency))
    question = [Message(role=Role.USER, content="Write on and on about a dragon.")]
    written, readings = 0, []
    while written < TOKENS:
        sampling = SamplingSettings(temperature=0.9, max_tokens=TOKENS - written)
        *_, last = engine.stream(AnswerRequest(question, sampling))
        assert isinstance(last, GenerationFinished)
        written += last.stats.completion_tokens
        if written // EVERY > len(readings):
            readings.append(process_mib(os.getpid()))
    stats = engine.weights_stats
    engine.close()
    assert stats is not None
    assert stats.read_mib > 10
    assert max(readings[3:]) - min(readings[3:]) < 1.0
