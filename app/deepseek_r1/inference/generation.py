"""Generates the answers of one engine, one after the other, until the engine is closed."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress

from deepseek_r1.core.errors import EngineBusy, ModelNotLoaded, ModelOfAnotherProcess
from deepseek_r1.core.events import (
    FinishReason,
    GenerationEvent,
    GenerationFinished,
    GenerationStats,
    PrefillProgress,
)
from deepseek_r1.core.messages import AnswerRequest, Message, RawPrompt, Role
from deepseek_r1.engine.interface import AnswerBatch, Engine
from deepseek_r1.engine.output.generation_output import ResultCollector

_CLOSE_SECONDS, _CANCEL_AGAIN_S = 10.0, 0.1
_StreamReference = weakref.ref[Generator[GenerationEvent, None, None]]


class GenerationLock:
    """Safe from any thread. With `queue`, callers wait for their turn, in the order they came."""

    def __init__(self, at_end: Callable[[], None] = lambda: None, *, queue: bool = False) -> None:
        """`at_end` is called after each answer, before another one or other work can begin."""
        self.queues, self._at_end = queue, at_end
        self._changed = threading.Condition()
        self._owner: int | None = None  # the thread whose answer is generated
        self._idle_work = self._closing = False
        self._waiting: deque[object] = deque()

    def locked(self) -> bool:
        """Return whether an answer is being generated."""
        return self._owner is not None

    def held_here(self) -> bool:
        """Return whether this thread's answer is being generated."""
        return self._owner == threading.get_ident()

    def require_free(self) -> None:
        """Wait for work between answers. Raises EngineBusy during an answer."""
        with self._changed:
            self._changed.wait_for(lambda: not self._idle_work)
            if self.locked():
                raise EngineBusy

    @contextmanager
    def generating(
        self, closing_s: float | None = None, cancel: Callable[[], None] = lambda: None
    ) -> Iterator[None]:
        """Hold the lock for an answer; or to close, once a running answer has ended in that time.

        `cancel` is called again and again until then: an answer that has its turn and only begins
        to count cancels does not know of one before.
        Raises EngineBusy during another answer, and in a queue during one of the same thread;
        ModelNotLoaded while another thread waits to close.
        """
        with self._changed:
            if closing_s is None:
                self._wait_for_turn()
            else:
                self._wait_to_close(closing_s, cancel)
            self._owner = threading.get_ident()
        try:
            yield
        finally:
            with self._changed:
                try:
                    self._at_end()
                finally:
                    self._owner = None
                    self._changed.notify_all()

    def _wait_for_turn(self) -> None:
        if not self.queues:
            self.require_free()
        elif self.held_here():  # it would wait for itself
            raise EngineBusy
        ticket = object()
        self._waiting.append(ticket)
        try:
            self._changed.wait_for(lambda: self._closing or self._is_turn(ticket))
            if self._closing:
                raise ModelNotLoaded
        finally:
            self._waiting.remove(ticket)
            self._changed.notify_all()

    def _wait_to_close(self, seconds: float, cancel: Callable[[], None]) -> None:
        self._closing = True
        self._changed.notify_all()
        due = time.monotonic() + seconds
        try:
            while not self._changed.wait_for(
                self._is_free, min(_CANCEL_AGAIN_S, due - time.monotonic())
            ):
                if time.monotonic() >= due:
                    raise EngineBusy
                cancel()
        finally:
            self._closing = False

    def _is_turn(self, ticket: object) -> bool:
        return self._waiting[0] is ticket and self._is_free()

    def _is_free(self) -> bool:
        return not self._idle_work and not self.locked()

    @contextmanager
    def idle(self) -> Iterator[bool]:
        """Yield whether nothing is computed; then no answer begins during the block."""
        with self._changed:
            self._changed.wait_for(lambda: not self._idle_work)
            free = self._idle_work = not self.locked()
        try:
            yield free
        finally:
            if free:
                with self._changed:
                    self._idle_work = False
                    self._changed.notify_all()


class GenerationRunner:
    """Owns the engine until it is closed or no longer referenced, also by a stream that is read.

    Any thread may call `cancel` and `end_thinking`. One answer is generated at a time: a second
    caller gets EngineBusy, from any thread, or waits for its turn in a lock that queues.
    """

    def __init__(
        self,
        engine: Engine,
        load_s: float,
        lock: GenerationLock,
        before_close: Callable[[], None],
        on_answer: Callable[[GenerationStats], None],
        *,
        save_prompts: bool = False,
    ) -> None:
        """`before_close` is called when no answer is computed any more and the engine is still
        open, `on_answer` with the stats of each answer.

        `save_prompts`: after each answer its conversation is written to the engine's prompt cache.
        """
        self._engine, self._load_s, self._lock = engine, load_s, lock
        self._save_prompts, self._process = save_prompts, os.getpid()
        self._on_answer = on_answer
        self._finalizer = weakref.finalize(self, _close_engine, before_close, engine, self._process)
        self._reading = threading.Lock()  # of the vocabulary, beside an answer
        self._stream: _StreamReference | None = None  # of the last answer that was begun
        self._cancelled: _StreamReference | None = None
        self._stops: dict[int, threading.Event] = {}  # of the calls that read or have a list

    @property
    def _open(self) -> bool:
        return self._finalizer.alive

    def _require_engine(self) -> Engine:
        """Return the engine. Raises ModelNotLoaded after it was closed, ModelOfAnotherProcess."""
        if self._process != os.getpid():
            raise ModelOfAnotherProcess
        if not self._finalizer.alive:
            raise ModelNotLoaded
        return self._engine

    @contextmanager
    def _read_engine(self) -> Iterator[Engine]:
        """Keep the engine open while its vocabulary is read, also beside an answer."""
        self._require_engine()  # in a fork the lock may be another thread's for ever
        with self._reading:
            yield self._require_engine()

    @contextmanager
    def _stoppable(self) -> Iterator[threading.Event]:
        """An event that a `cancel` sets; inside another such block of this thread the same one."""
        thread = threading.get_ident()
        if (outer := self._stops.get(thread)) is not None:
            yield outer
            return
        try:
            yield self._stops.setdefault(thread, threading.Event())
        finally:
            del self._stops[thread]

    def _stream_answer(
        self, request: AnswerRequest, stop: threading.Event
    ) -> Iterator[GenerationEvent]:
        """Generate one answer; where `stop` is set, one that ends as cancelled.

        A cancel counts from here on; in a queue, from its turn on.
        """
        engine = self._require_engine()
        self._end_cancelled_stream()
        if not self._lock.queues:
            self._lock.require_free()
            engine.reset_cancel()
        reference: list[_StreamReference] = []  # filled below, since it needs the generator
        events = self._events(engine, reference, request, stop, stopped=stop.is_set())
        reference.append(weakref.ref(events))
        return events

    def _events(
        self,
        engine: Engine,
        reference: Sequence[_StreamReference],
        request: AnswerRequest,
        stop: threading.Event,
        *,
        stopped: bool,
    ) -> Generator[GenerationEvent, None, None]:
        self._end_cancelled_stream()
        with self._lock.generating():
            self._stream = reference[0]
            self._require_engine()
            if self._lock.queues:
                engine.reset_cancel()
                if not stopped:
                    stop.clear()  # a cancel while it waited was another answer's
            if stopped:
                engine.cancel()
            before, collector = engine.weights_stats, ResultCollector()
            stats = GenerationStats(finish_reason=FinishReason.ERROR)
            for event in engine.stream(request):
                if self._save_prompts:
                    collector.add(event)
                if isinstance(event, GenerationFinished):
                    stats, after = event.stats, engine.weights_stats
                    self._on_answer(stats)
                    weights = after.since(before) if after and before else None
                    added = {"load_s": self._load_s, "weights": weights}
                    yield GenerationFinished(stats=stats.model_copy(update=added))
                else:
                    yield event
            messages, begun = request.messages, request.continues
            if self._save_prompts and not isinstance(messages, RawPrompt) and not _to_go_on(stats):
                _save(engine, messages, (begun.text if begun else "") + collector.text)

    def _preparing(
        self, engine: Engine, messages: Sequence[Message], owner: str, *, compute: bool
    ) -> Iterator[PrefillProgress]:
        with self._lock.generating():
            self._require_engine()
            yield from engine.prepare(messages, owner=owner, compute=compute)

    def save_prompt(self, seconds: float = 2.0) -> None:
        """Write segments that an interrupted `prepare` left over, for at most `seconds`."""
        if self._finalizer.alive:
            with self._lock.idle() as free:
                if free:
                    self._engine.reset_cancel()
                    self._engine.save_prompt(seconds)

    @contextmanager
    def batch(self) -> Iterator[AnswerBatch]:
        """Open a batch, to which answers are added while others are computed.

        Nothing else is computed until it is closed, which ends the answers in it. Up to
        `batch_size` of them are computed together. Raises EngineBusy, ModelNotLoaded, and
        WrongUsage for an old model file.
        """
        with self._held_engine() as engine:
            batch = engine.open_batch()
            try:
                yield batch
            finally:
                batch.drop_all()

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return an embedding of each text: vectors of length 1, as wide as the model.

        They are those of the embedding model, if one was loaded with the model. Without one it is
        the last layer's output for the last token: a chat model is not trained for embeddings, so
        texts of similar meaning are close less reliably.
        Raises PromptTooLong, WrongUsage, EngineBusy, EngineFailed.
        """
        with self._held_engine() as engine:
            return [engine.embed(text) for text in texts]

    def similarities(self, question: str, passages: Sequence[str]) -> list[float]:
        """Return how near each passage is to a question in meaning, from -1 to 1.

        The embedding model says it. Raises WrongUsage where none was loaded, EngineBusy,
        EngineFailed.
        """
        with self._held_engine() as engine:
            return engine.similarities(question, passages)

    @contextmanager
    def _held_engine(self) -> Iterator[Engine]:
        """Hold the engine for one computation; a cancel counts from here on."""
        self._require_engine()
        self._end_cancelled_stream()
        with self._lock.generating():
            engine = self._require_engine()  # it may have been closed while this call waited
            engine.reset_cancel()
            yield engine

    def cancel(self) -> None:
        """End the running answer within 200 ms, also during prefill.

        The reading of documents ends as well, and the answers of a list that come after it.
        """
        if self._finalizer.alive:
            for stop in tuple(self._stops.values()):
                stop.set()
            self._cancelled = self._stream
            self._engine.cancel()

    def _end_cancelled_stream(self) -> None:
        """End a cancelled answer that this thread began and does not read to its end.

        An exception in the loop that read it may keep it: a notebook's last error, for example.
        """
        if self._cancelled is None or not self._lock.held_here():
            return
        cancelled, self._cancelled = self._cancelled, None
        if cancelled is self._stream:
            self._close_stream()

    def end_thinking(self) -> None:
        """Close the thinking block of the running answer within 300 ms; the answer goes on.

        Without effect once the answer has begun.
        """
        if self._finalizer.alive:
            self._engine.end_thinking()

    def close(self) -> None:
        """End a running answer and free the memory. May be called twice.

        What waits in a queue is not computed. Raises EngineBusy if the computation of another
        thread does not end, or is this thread's own.
        """
        if not self._finalizer.alive:
            return
        self.cancel()
        self._close_stream()
        closing_s = 0.0 if self._lock.held_here() else _CLOSE_SECONDS
        with self._lock.generating(closing_s, self.cancel), self._reading:
            self._finalizer()

    def _close_stream(self) -> None:
        """End an answer that nobody reads."""
        stream = self._stream() if self._stream is not None else None
        if stream is not None:
            with suppress(ValueError):  # "generator already executing", in a thread
                stream.close()


def _to_go_on(stats: GenerationStats) -> bool:
    """Whether the answer may be continued from cells that the next turn does not have."""
    return stats.finish_reason is not FinishReason.STOP and bool(stats.thinking_tokens)


def _save(engine: Engine, messages: Sequence[Message], text: str) -> None:
    """Write the conversation with its new answer to the prompt cache, without computing."""
    answer = [Message(role=Role.ASSISTANT, content=text)] if text else []
    engine.reset_cancel()
    for _ in engine.prepare([*messages, *answer], owner="", compute=False):
        pass


def _close_engine(before_close: Callable[[], None], engine: Engine, process: int) -> None:
    if process != os.getpid():  # a fork's copy: its threads are gone, and closing waits for them
        return
    before_close()
    engine.close()
