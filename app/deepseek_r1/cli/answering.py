"""What the commands that let a model answer share: Ctrl-C, progress, the account at the end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from deepseek_r1.cli import output
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.events import Event, FinishReason, GenerationStats, LoadProgress
from deepseek_r1.core.words import tr
from deepseek_r1.host.client import EngineClient
from deepseek_r1.host.memory_words import shortage_over_words, shortage_words
from deepseek_r1.host.notices import Notice
from deepseek_r1.host.protocol import Beat

INTERRUPTED = 130


@contextmanager
def cancelling(engine: EngineClient) -> Iterator[Callable[[], bool]]:
    """Ctrl-C ends the load or the answer in order; a second one ends the program at once.

    Yields whether it was pressed: between load and answer there is nothing the engine could end.
    """
    pressed = False

    def on_interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        engine.cancel()

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def interrupting(engine: EngineClient) -> Iterator[Callable[[], bool]]:
    """As `cancelling`, for a program that is over when its load is ended."""
    with cancelling(engine) as pressed:
        try:
            yield pressed
        except R1Error:
            if pressed():  # a load that was ended fails, but that is what was asked for
                raise typer.Exit(INTERRUPTED) from None
            raise


class ShortageTeller:
    """One line when the machine runs short of memory, one when that is over."""

    def __init__(self) -> None:
        self._short = False

    def __call__(self, notice: Notice) -> None:
        """Look at what the engine says by the way."""
        memory = notice.memory if isinstance(notice, Beat) else None
        if memory is not None and memory.short != self._short:
            self._short = memory.short
            output.note(shortage_words(memory) if memory.short else shortage_over_words())


def show_progress(event: Event) -> None:
    """How far a load is."""
    if isinstance(event, LoadProgress):
        output.status(tr("Loading the model: {percent} %", percent=round(100 * event.fraction)))


def reason_words(reason: FinishReason) -> str:
    """Why an answer ended."""
    return {
        FinishReason.STOP: tr("complete"),
        FinishReason.LENGTH: tr("the longest answer was reached"),
        FinishReason.CONTEXT: tr("the context is full"),
        FinishReason.CANCELLED: tr("stopped"),
        FinishReason.ERROR: tr("the engine failed"),
    }[reason]


def summary(stats: GenerationStats) -> str:
    """Count, speed and end of an answer in one line."""
    return tr(
        "{tokens} tokens, {rate} tokens/s, first after {ttft} s ({reason})",
        tokens=stats.completion_tokens,
        rate=f"{stats.decode_tok_s:.1f}",
        ttft=f"{stats.ttft_s:.2f}",
        reason=reason_words(stats.finish_reason),
    )
