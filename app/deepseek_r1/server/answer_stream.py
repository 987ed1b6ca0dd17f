"""Streams answers as server-sent events, in OpenAI's shapes."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from anyio import CancelScope
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from deepseek_r1.core.events import (
    AnswerDelta,
    AnswerSource,
    Event,
    GenerationFinished,
    ThinkingDelta,
    TokenLogprob,
)
from deepseek_r1.engine.interface import GenerationResult
from deepseek_r1.server.api_responses import (
    ApiError,
    ResponseHead,
    chat_logprobs,
    completion_logprobs,
    finish_reason,
)

_T = TypeVar("_T")
PING = ": ping\n\n"
DONE = "data: [DONE]\n\n"


class ClientDisconnectedError(Exception):
    """The client closed its connection before the response began."""


def sse_data(body: dict[str, Any]) -> str:
    """Return a body as the text of one event."""
    return f"data: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n"


async def with_pings(events: AsyncIterator[_T], every_s: float) -> AsyncGenerator[_T | None]:
    """Yield the events, and None whenever none came for `every_s` seconds.

    One task iterates over all `events`, because a timeout inside of them cancels the task that
    entered it. Leaving the iteration cancels that task and waits for its end.
    """
    arrived: asyncio.Queue[tuple[_T] | None] = asyncio.Queue()

    async def iterate() -> None:
        try:
            async for event in events:
                arrived.put_nowait((event,))
        finally:
            arrived.put_nowait(None)

    iterating = asyncio.ensure_future(iterate())
    try:
        while True:
            try:
                async with asyncio.timeout(every_s):
                    item = await arrived.get()
            except TimeoutError:
                yield None
                continue
            if item is None:
                break
            yield item[0]
        await iterating  # raises the error of `events`
    finally:
        if not iterating.done():
            iterating.cancel()
            with CancelScope(shield=True), suppress(asyncio.CancelledError):
                await iterating


async def _close(parts: AsyncGenerator[str]) -> None:
    """Close a generator, also inside of a cancelled scope of Starlette's."""
    with CancelScope(shield=True):
        await parts.aclose()


async def wait_for_disconnect(request: Request) -> None:
    """Return when the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


class EventStream(StreamingResponse):
    """A response of server-sent events, which ends its answer if the client disconnects."""

    def __init__(self, first: str, others: AsyncGenerator[str]) -> None:
        async def parts() -> AsyncIterator[str]:
            yield first
            async for part in others:
                yield part

        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(parts(), media_type="text/event-stream", headers=headers)
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await _close(self._others)


async def cancel_on_disconnect(request: Request, work: Awaitable[_T]) -> _T:
    """Return the result of `work`, which is cancelled if the client disconnects.

    Raises ClientDisconnectedError.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(wait_for_disconnect(request))
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


async def begun_stream(request: Request, parts: AsyncGenerator[str]) -> EventStream:
    """Wait for the first part, so that an error before it gets an HTTP status.

    Raises ApiError, ClientDisconnectedError.
    """
    try:
        return EventStream(await cancel_on_disconnect(request, anext(parts)), parts)
    except BaseException:
        await _close(parts)
        raise


def _sources(sources: Sequence[AnswerSource]) -> dict[str, Any]:
    """Return the fields of a message that have passages of documents; nothing without any.

    `annotations` are those of OpenAI's assistants, with the sentence as the quote.
    """
    if not sources:
        return {}
    quotes = [{"filename": s.document, "page": s.page, "quote": s.sentence} for s in sources]
    return {
        "sources": [each.model_dump() for each in sources],
        "annotations": [{"type": "file_citation", "file_citation": each} for each in quotes],
    }


@dataclass(frozen=True)
class ChatChoice:
    """Writes an answer of a chat completion, whole or in the chunks of a stream.

    Thinking comes as `reasoning_content` and `reasoning`.
    """

    index: int
    logprobs: bool

    def _choice(self, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return {"index": self.index, "delta": delta, "logprobs": None, "finish_reason": reason}

    def first(self) -> dict[str, Any] | None:
        return self._choice({"role": "assistant", "content": ""})

    def delta(self, event: Event) -> dict[str, Any] | None:
        """Return a piece of the answer or of the thinking."""
        match event:
            case AnswerDelta(text=text, logprobs=logprobs):
                choice = self._choice({"content": text})
                return choice | {"logprobs": chat_logprobs(logprobs)} if self.logprobs else choice
            case ThinkingDelta(text=text):
                return self._choice({"reasoning_content": text, "reasoning": text})
        return None

    def last(self, event: GenerationFinished) -> dict[str, Any]:
        """Return the finish reason, and the passages of documents."""
        return self._choice(_sources(event.sources), finish_reason(event.stats))

    def whole(self, answer: GenerationResult) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
        message |= _sources(answer.sources)
        if answer.thinking:
            message |= {"reasoning_content": answer.thinking, "reasoning": answer.thinking}
        return {
            "index": self.index,
            "message": message,
            "logprobs": chat_logprobs(answer.logprobs) if self.logprobs else None,
            "finish_reason": finish_reason(answer.stats),
        }


@dataclass(frozen=True)
class TextChoice:
    """Writes a continuation of a text, whole or in chunks. `echoed` is the text, if it is asked."""

    index: int
    logprobs: bool
    echoed: str = ""

    def _choice(
        self, text: str, logprobs: Sequence[TokenLogprob] | None = None, reason: str | None = None
    ) -> dict[str, Any]:
        given = logprobs if self.logprobs else None
        shown = None if given is None else completion_logprobs(given)
        return {"index": self.index, "text": text, "logprobs": shown, "finish_reason": reason}

    def first(self) -> dict[str, Any] | None:
        """Return the prompt, where it is echoed."""
        return self._choice(self.echoed) if self.echoed else None

    def delta(self, event: Event) -> dict[str, Any] | None:
        return self._choice(event.text, event.logprobs) if isinstance(event, AnswerDelta) else None

    def last(self, event: GenerationFinished) -> dict[str, Any]:
        return self._choice("", reason=finish_reason(event.stats))

    def whole(self, answer: GenerationResult) -> dict[str, Any]:
        text, reason = self.echoed + answer.text, finish_reason(answer.stats)
        return self._choice(text, answer.logprobs, reason)


Answer = tuple[ChatChoice | TextChoice, Callable[[], AsyncIterator[Event]]]


async def answer_parts(
    head: ResponseHead, answers: Sequence[Answer], *, include_usage: bool, ping_s: float
) -> AsyncGenerator[str]:
    """Yield the server-sent events of one or several answers, one answer after the other.

    Raises ApiError for an error before the first event; a later one is an event of its own.
    """
    started, finished = False, []
    try:
        for choice, begin in answers:
            first = choice.first()
            async with aclosing(with_pings(begin(), ping_s)) as events:
                async for event in events:
                    if event is None:
                        yield PING
                        started = True
                        continue
                    if first is not None:
                        yield sse_data(head.body([first], chunk=True))
                        first = None
                        started = True
                    if isinstance(event, GenerationFinished):
                        finished.append(event.stats)
                        chunk = head.body([choice.last(event)], chunk=True)
                        yield sse_data(chunk | head.warned)
                    elif (delta := choice.delta(event)) is not None:
                        yield sse_data(head.body([delta], chunk=True))
                        started = True
    except ApiError as error:
        if not started:
            raise
        yield sse_data(error.body)
        return
    if include_usage:
        yield sse_data(head.body([], chunk=True) | head.end(finished))
    yield DONE
