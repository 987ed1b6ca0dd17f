"""Streams answers as server-sent events, in OpenAI's shapes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from deepseek_r1.core.events import (
    AnswerDelta,
    Event,
    GenerationFinished,
    GenerationStats,
    ThinkingDelta,
)
from deepseek_r1.server import sse
from deepseek_r1.server.api_errors import ApiError
from deepseek_r1.server.api_responses import (
    ResponseHead,
    chat_logprobs,
    completion_logprobs,
    finish_reason,
    timings,
    usage,
)

_T = TypeVar("_T")


class ClientDisconnectedError(Exception):
    """The client closed its connection before the response began."""


class EventStream(StreamingResponse):
    """A response of server-sent events, which ends its answer if the client disconnects."""

    def __init__(self, parts: AsyncIterator[str]) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(parts, media_type="text/event-stream", headers=headers)
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await sse.close_iterator(self._parts)


async def cancel_on_disconnect(request: Request, work: Awaitable[_T]) -> _T:
    """Return the result of `work`, which is cancelled if the client disconnects.

    Raises ClientDisconnectedError.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(sse.wait_for_disconnect(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnectedError
        return task.result()
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


async def wait_for_first_part(request: Request, parts: AsyncIterator[str]) -> AsyncIterator[str]:
    """Wait for the first part, so that an error before it gets an HTTP status. Return all parts.

    Raises ApiError, ClientDisconnectedError.
    """

    async def first_part() -> str:
        return await anext(parts)

    try:
        first = await cancel_on_disconnect(request, first_part())
    except BaseException:
        await sse.close_iterator(parts)
        raise

    async def all_parts() -> AsyncIterator[str]:
        try:
            yield first
            async for part in parts:
                yield part
        finally:
            await sse.close_iterator(parts)

    return all_parts()


class ChunkWriter:
    """Makes the chunks of one answer. Subclasses make their choices."""

    def __init__(self, head: ResponseHead, index: int = 0, *, logprobs: bool = False) -> None:
        self.head, self.index, self._logprobs = head, index, logprobs

    def first(self) -> dict[str, Any] | None:
        """Return the choice that opens the answer, if there is one."""
        return None

    def delta(self, event: Event) -> dict[str, Any] | None:
        """Return the choice of an event; None for one that the client does not see."""
        raise NotImplementedError

    def last(self, stats: GenerationStats) -> dict[str, Any]:
        """Return the choice that ends the answer."""
        raise NotImplementedError


class ChatChunks(ChunkWriter):
    """The chunks of a chat completion. Thinking comes as `reasoning_content` and `reasoning`."""

    def _choice(self, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return {"index": self.index, "delta": delta, "logprobs": None, "finish_reason": reason}

    def first(self) -> dict[str, Any] | None:
        """Return the choice with the role."""
        return self._choice({"role": "assistant", "content": ""})

    def delta(self, event: Event) -> dict[str, Any] | None:
        """Return the choice with a piece of the answer or the thinking."""
        match event:
            case AnswerDelta(text=text, logprobs=logprobs):
                choice = self._choice({"content": text})
                return choice | {"logprobs": chat_logprobs(logprobs)} if self._logprobs else choice
            case ThinkingDelta(text=text):
                return self._choice({"reasoning_content": text, "reasoning": text})
        return None

    def last(self, stats: GenerationStats) -> dict[str, Any]:
        """Return the choice with the finish reason."""
        return self._choice({}, finish_reason(stats))


class TextChunks(ChunkWriter):
    """The chunks of a completion."""

    def _choice(self, text: str, reason: str | None = None) -> dict[str, Any]:
        return {"index": self.index, "text": text, "logprobs": None, "finish_reason": reason}

    def delta(self, event: Event) -> dict[str, Any] | None:
        """Return the choice with a piece of the text."""
        if not isinstance(event, AnswerDelta):
            return None
        choice = self._choice(event.text)
        if self._logprobs:
            choice["logprobs"] = completion_logprobs(event.logprobs)
        return choice

    def last(self, stats: GenerationStats) -> dict[str, Any]:
        """Return the choice with the finish reason."""
        return self._choice("", finish_reason(stats))


async def answer_parts(
    answers: Sequence[tuple[ChunkWriter, Callable[[], AsyncIterator[Event]]]],
    *,
    include_usage: bool,
    ping_s: float,
) -> AsyncIterator[str]:
    """Yield the server-sent events of one or several answers, one answer after the other.

    Raises ApiError for an error before the first event; a later one is an event of its own.
    """
    started, finished, head = False, [], answers[0][0].head
    try:
        for writer, begin in answers:
            first = writer.first()
            async with aclosing(sse.with_pings(begin(), ping_s)) as events:
                async for event in events:
                    if first is not None and event is not None:
                        yield sse.data(head.body([first], chunk=True))
                        first = None
                        started = True
                    if event is None:
                        yield sse.PING
                        started = True
                    elif isinstance(event, GenerationFinished):
                        finished.append(event.stats)
                        yield sse.data(head.body([writer.last(event.stats)], chunk=True))
                    elif (choice := writer.delta(event)) is not None:
                        yield sse.data(head.body([choice], chunk=True))
                        started = True
    except ApiError as error:
        if not started:
            raise
        yield sse.data(error.body)
        return
    if include_usage:
        extra = {"usage": usage(finished), "timings": timings(finished[-1])}
        yield sse.data(head.body([], chunk=True) | extra)
    yield sse.DONE
