"""The context: cells kept and dropped, and the abort inside one long call."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepseek_r1.core.settings import KVType
from deepseek_r1.engine.llama.binding.context import AbortedError, ContextParams, LlamaContext
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.engine.llama.binding.model import LlamaModel

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def starter_weights(starter: Path) -> Iterator[LlamaModel]:
    model = LlamaModel(library(), [starter], lambda _fraction: True)
    yield model
    model.close()


@pytest.fixture
def context(starter_weights: LlamaModel) -> Iterator[LlamaContext]:
    shape = ContextParams(4096, 2048, KVType.F16, sequences=1, threads=1, threads_prefill=1)
    made = LlamaContext(library(), starter_weights, shape)
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.quiet
def test_the_abort_ends_one_long_call_and_leaves_the_context_usable(context: LlamaContext) -> None:
    tokens = list(range(1000, 3048))
    before = tokens[:64]
    started = time.monotonic()
    context.compute(tokens)
    whole_s = time.monotonic() - started
    context.truncate(0)
    context.compute(before)
    set_at: list[float] = []

    def abort() -> None:
        time.sleep(whole_s / 4)
        set_at.append(time.monotonic())
        context.abort.set()

    thread = threading.Thread(target=abort)
    thread.start()
    with pytest.raises(AbortedError):
        context.compute(tokens)
    ended_at = time.monotonic()
    thread.join()
    assert ended_at - set_at[0] < whole_s / 25  # what one operation takes, not a layer of 30
    assert context.cells == before
    context.abort.clear()
    context.compute(tokens[64:128])
    assert context.used == 128


def test_only_the_common_beginning_is_kept(context: LlamaContext) -> None:
    context.compute([10, 11, 12, 13])
    assert context.keep_prefix([10, 11, 99, 13]) == 2
    assert context.keep_prefix([10, 11]) == 1  # the last one is computed again for its logits
    assert context.cells == [10]
