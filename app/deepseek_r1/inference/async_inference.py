"""The library for asyncio: answers as coroutines and asynchronous iterators."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar, Unpack

from deepseek_r1.core.events import GenerationEvent
from deepseek_r1.engine.interface import GenerationResult
from deepseek_r1.engine.output.generation_output import ResultCollector
from deepseek_r1.inference.cpu_inference import CPUInference
from deepseek_r1.inference.prompt_calls import AnswerOptions, Prompt

_T = TypeVar("_T")
_CANCEL_AGAIN_S = 0.1


class AsyncCPUInference:
    """A model in memory, for one event loop.

        async with AsyncCPUInference("model.gguf") as model:
            print(await model.generate("Why is the sky blue?", max_tokens=256))

    One thread computes: answers that are requested together come one after the other, in order.
    Cancelling a task ends its answer. `model` is the `CPUInference` behind it, from `load` on.
    """

    def __init__(self, model_path: str | Path, **options: Any) -> None:
        """The arguments are those of `CPUInference`. Nothing is loaded before `load`."""
        self._open: Callable[[], CPUInference] = lambda: CPUInference(model_path, **options)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._model: CPUInference | None = None

    @property
    def model(self) -> CPUInference:
        """The loaded model. Raises RuntimeError before `load`."""
        if self._model is None:
            raise RuntimeError("the model is not loaded: use `async with` or `await load()`")
        return self._model

    async def load(self) -> None:
        """Load the model, unless it is loaded. Raises as `CPUInference` does."""
        if self._model is None:
            self._model = await self._run(self._open)

    async def close(self) -> None:
        """End the running answer and those that wait, and free the memory."""
        if (model := self._model) is not None:
            closing = asyncio.ensure_future(self._run(model.close))  # behind them
            while not closing.done():  # an answer that begins counts no cancel before
                model.cancel()
                await asyncio.wait([closing], timeout=_CANCEL_AGAIN_S)
            await closing
        self._executor.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        await self.load()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def generate(
        self, prompt: Prompt, max_tokens: int | None = None, **options: Unpack[AnswerOptions]
    ) -> str:
        """Return the answer to one prompt without the thinking."""
        return (await self.complete(prompt, max_tokens, **options)).text

    async def complete(
        self, prompt: Prompt, max_tokens: int | None = None, **options: Unpack[AnswerOptions]
    ) -> GenerationResult:
        """Return the whole answer with its thinking and its stats."""
        collector = ResultCollector()
        async for event in self.stream(prompt, max_tokens, **options):
            collector.add(event)
        return collector.result()

    async def stream(
        self, prompt: Prompt, max_tokens: int | None = None, **options: Unpack[AnswerOptions]
    ) -> AsyncIterator[GenerationEvent]:
        """Generate the answer as events. Leaving the iteration ends the answer."""
        model = self.model
        begin = partial(model.stream, prompt, max_tokens, **options)
        answer = _ThreadedAnswer(asyncio.get_running_loop(), begin, model.cancel)
        computing = asyncio.get_running_loop().run_in_executor(self._executor, answer.compute)
        try:
            while (event := await answer.events.get()) is not None:
                yield event
            await computing  # raises the answer's error
        finally:
            answer.stop()
            computing.cancel()  # where its turn has not come

    def end_thinking(self) -> None:
        """Close the thinking block of the running answer; see `CPUInference.end_thinking`."""
        self.model.end_thinking()

    async def similarities(self, question: str, passages: Sequence[str]) -> list[float]:
        """Return how near passages are to a question; see `CPUInference.similarities`."""
        model = self.model
        return await self._run(lambda: model.similarities(question, passages))

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return an embedding of each text; see `CPUInference.embed`."""
        model = self.model
        return await self._run(lambda: model.embed(texts))

    async def _run(self, function: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)


class _ThreadedAnswer:
    """Computes one answer in a thread and hands its events to the event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        begin: Callable[[], Iterator[GenerationEvent]],
        cancel: Callable[[], None],
    ) -> None:
        self._loop, self._begin, self._cancel = loop, begin, cancel
        self.events: asyncio.Queue[GenerationEvent | None] = asyncio.Queue()  # None ends them
        self._lock = threading.Lock()
        self._stopped, self._running = threading.Event(), False

    def compute(self) -> None:
        """Compute the answer in the calling thread."""
        try:
            with self._lock:
                if self._stopped.is_set():
                    return
                self._running = True
            events = self._begin()  # a cancel counts from here on
            if self._stopped.is_set():  # before
                return
            for event in events:
                self._put(event)
        finally:
            with self._lock:
                self._running = False
            self._put(None)

    def stop(self) -> None:
        """End the answer, also before its turn. Does not wait."""
        with self._lock:
            self._stopped.set()
            if self._running:
                self._cancel()

    def _put(self, event: GenerationEvent | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.events.put_nowait, event)
