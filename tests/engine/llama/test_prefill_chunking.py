"""Calls of prefill: as large as the machine manages in time."""

from __future__ import annotations

import pytest

from deepseek_r1.engine.llama.prefill import TARGET_CALL_S, PrefillChunker


def after(tokens: int, seconds: float, micro_batch: int = 256) -> int:
    pace = PrefillChunker(micro_batch)
    pace.observe(tokens, seconds)
    return pace.chunk_tokens()


def test_a_fast_machine_gets_whole_micro_batches() -> None:
    assert after(64, 0.2) == 256
    assert after(256, 8.0) == 256


def test_a_slow_machine_gets_calls_that_end_in_time() -> None:
    chunk = after(64, 6.4)
    assert 64 <= chunk < 256
    assert chunk * 0.1 <= TARGET_CALL_S


def test_the_slowest_machine_still_gets_somewhere() -> None:
    assert after(64, 1000.0) == 32


@pytest.mark.parametrize("micro_batch", [16, 32, 64, 2048])
def test_never_more_than_the_micro_batch(micro_batch: int) -> None:
    assert PrefillChunker(micro_batch).chunk_tokens() <= micro_batch
    assert after(64, 0.001, micro_batch) == micro_batch
    assert after(16, 100.0, micro_batch) <= micro_batch


def test_a_few_tokens_teach_nothing() -> None:
    assert after(3, 5.0) == PrefillChunker(256).chunk_tokens()
