"""The answers of one engine: one after the other, and none behind the engine's end."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial

from deepseek_r1.core.errors import ModelNotLoaded
from deepseek_r1.core.events import GenerationEvent, GenerationFinished
from deepseek_r1.core.messages import Message
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.base import Answer, Engine
from deepseek_r1.inference.budget import stats_of
from deepseek_r1.inference.turns import Turns

_CLOSE_SECONDS = 10.0


class Answers:
    """Owns the engine until it is closed or nobody has it; an answer being read still has it."""

    def __init__(
        self, engine: Engine, load_s: float, turns: Turns, before_end: Callable[[], None]
    ) -> None:
        """`before_end` is called when no answer is computed any more and the engine still lives."""
        self._engine, self._load_s, self._turns = engine, load_s, turns
        self._free = weakref.finalize(self, _end, before_end, engine)
        self._stream: weakref.ref[Generator[GenerationEvent, None, None]] | None = None

    @property
    def open(self) -> bool:
        """The engine lives."""
        return self._free.alive

    def ready(self) -> Engine:
        """The engine. Raises ModelNotLoaded after its end."""
        if not self._free.alive:
            raise ModelNotLoaded
        return self._engine

    def stream(
        self,
        messages: Sequence[Message],
        sampling: SamplingSettings,
        json_schema: str,
        text_every_s: float,
    ) -> Iterator[GenerationEvent]:
        """One answer. A cancel counts from here on. Raises EngineBusy, ModelNotLoaded."""
        engine = self.ready()
        self._turns.require_free()
        engine.forgive()
        begin = partial(
            engine.stream, messages, sampling, json_schema=json_schema, text_every_s=text_every_s
        )
        events = self._events(engine, begin)
        self._stream = weakref.ref(events)
        return events

    def _events(
        self, engine: Engine, begin: Callable[[], Iterator[GenerationEvent]]
    ) -> Generator[GenerationEvent, None, None]:
        with self._turns.answering():
            self.ready()
            before = stats_of(engine)
            for event in begin():
                if isinstance(event, GenerationFinished):
                    after = stats_of(engine)
                    weights = after.since(before) if after and before else None
                    added = {"load_s": self._load_s, "weights": weights}
                    yield GenerationFinished(stats=event.stats.model_copy(update=added))
                else:
                    yield event

    def together(
        self, prompts: Sequence[Sequence[Message]], sampling: SamplingSettings
    ) -> list[Answer]:
        """An answer to each prompt. Raises EngineBusy, ModelNotLoaded."""
        engine = self.ready()
        with self._turns.answering():
            engine.forgive()
            return engine.complete_many(prompts, sampling)

    def cancel(self) -> None:
        """End the running answer."""
        if self._free.alive:
            self._engine.cancel()

    def close(self) -> None:
        """End a running answer and free the memory. May be called twice. Raises EngineBusy."""
        if not self._free.alive:
            return
        self._engine.cancel()
        with self._turns.ending(0.0 if self._drop_stream() else _CLOSE_SECONDS):
            self._free()

    def _drop_stream(self) -> bool:
        """End an answer that nobody reads on; False where a thread is just computing it."""
        stream = self._stream() if self._stream is not None else None
        if stream is None:
            return True
        try:
            stream.close()
        except ValueError:  # "generator already executing"
            return False
        return True


def _end(before_end: Callable[[], None], engine: Engine) -> None:
    before_end()
    engine.close()
