"""Calls of prefill: as large as the machine manages in time, alone and beside other answers."""

from collections.abc import Callable

import pytest

from deepseek_r1.engine.llama.prefill import LEAST_TOKENS, PrefillChunker, PrefillShare


@pytest.mark.parametrize(
    ("micro_batch", "tokens", "seconds", "expected"),
    [
        pytest.param(256, 64, 0.2, 256, id="fast"),
        pytest.param(256, 256, 8.0, 256, id="fast enough"),
        pytest.param(256, 64, 6.4, 96, id="in ten seconds"),
        pytest.param(256, 64, 1000.0, 32, id="the slowest gets somewhere"),
        pytest.param(256, 3, 5.0, 64, id="a few tokens teach nothing"),
        pytest.param(2048, 64, 0.001, 2048, id="a large micro-batch"),
        pytest.param(16, 16, 0.001, 16, id="never more than the micro-batch"),
        pytest.param(16, 16, 100.0, 16, id="nor where it is slow"),
    ],
)
def test_a_call_is_as_large_as_the_machine_manages_in_time(micro_batch, tokens, seconds, expected):
    pace = PrefillChunker(micro_batch)
    assert pace.tokens <= micro_batch
    pace.observe(tokens, seconds)
    assert pace.tokens == expected


def in_memory(tokens: int) -> float:
    """Seconds of a step of a model whose weights are in memory."""
    return 0.05 + 0.004 * tokens


def streamed(tokens: int) -> float:
    """The same where reading takes 0.7 s and hides computing."""
    return max(0.7, 0.1 + 0.012 * tokens)


def after(steps: int, seconds: Callable[[int], float], prompt: int) -> PrefillShare:
    """A share that saw a first prompt alone, and then steps with writers."""
    share = PrefillShare()
    share.observe(prompt, seconds(prompt), alone=True)
    for _ in range(steps):
        share.observe(share.tokens, seconds(share.tokens), alone=False)
    return share


def test_writers_wait_a_third_of_a_second_for_prompts() -> None:
    share = after(20, in_memory, prompt=80)
    assert 0.2 < 0.004 * share.tokens < 0.6  # no step without prompts was seen
    share.observe(0, in_memory(0), alone=False)
    for _ in range(3):
        share.observe(share.tokens, in_memory(share.tokens), alone=False)
    assert 0.25 < 0.004 * share.tokens < 0.36


def test_reading_from_the_disk_hides_tokens_of_prompts() -> None:
    share = after(6, streamed, prompt=80)
    assert share.tokens >= 50
    assert streamed(share.tokens) < 2 * 0.7


def test_a_slow_model_reads_the_least() -> None:
    assert after(0, lambda tokens: 0.1 * tokens, prompt=80).tokens == LEAST_TOKENS


def test_a_prompt_that_was_read_alone_changes_nothing_later() -> None:
    share = after(6, streamed, prompt=80)
    before = share.tokens
    share.observe(256, streamed(256), alone=True)
    assert share.tokens == before


def test_a_first_prompt_that_says_nothing_lets_no_writer_wait() -> None:
    """It was too short to be measured; the next one comes while an answer is written."""
    share = PrefillShare()
    share.observe(6, 0.7, alone=True)
    for _ in range(5):
        share.observe(0, 0.69, alone=False)
    for seconds in (0.695, 0.69, 0.6):
        share.observe(LEAST_TOKENS, seconds, alone=False)
        assert share.tokens <= 2 * LEAST_TOKENS


def test_the_last_tokens_of_a_prompt_do_not_lower_the_share() -> None:
    share = after(6, streamed, prompt=80)
    before = share.tokens
    share.observe(LEAST_TOKENS, streamed(LEAST_TOKENS), alone=False)
    assert share.tokens >= before
