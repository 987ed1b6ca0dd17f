"""Runs the engine's client for an event loop: events as asynchronous iterators."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from anyio import CancelScope

from deepseek_r1.core.errors import EngineFailed, ModelNotLoaded
from deepseek_r1.core.events import BillItem, Event, ModelLoaded
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import Message
from deepseek_r1.host.in_flight import OpenRequests
from deepseek_r1.host.protocol import (
    AnsweredRequest,
    ClosingReply,
    DetokenizeRequest,
    DoneReply,
    EmbeddingReply,
    EmbedRequest,
    ErrorReply,
    EventReply,
    GenerateRequest,
    Heartbeat,
    PrepareRequest,
    SetBudgetRequest,
    SimilaritiesRequest,
    TextReply,
    TokenizeRequest,
    TokensReply,
)

_ReplyT = TypeVar("_ReplyT", bound=ClosingReply)


class _LoopRequest:
    """A request whose replies arrive in an event loop."""

    def __init__(self, cancel: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        self.cancel, self._loop = cancel, loop
        self.replies: asyncio.Queue[EventReply | ClosingReply | None] = asyncio.Queue()

    def put(self, reply: EventReply | ClosingReply | None) -> None:
        """Hand over a reply. The supervisor's thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.replies.put_nowait, reply)


class AsyncEngine:
    """An engine as coroutines and asynchronous iterators. For one event loop."""

    def __init__(
        self,
        requests: OpenRequests,
        *,
        warm: bool = True,
        on_model_wanted: Callable[[], None] | None = None,
    ) -> None:
        """`requests` are those of the engine's client, or of the application that shares it.

        `on_model_wanted` is called for a request that finds no model.

        Without `warm` it is not ready yet: a system prompt is computed first.
        """
        self._requests, self._on_model_wanted = requests, on_model_wanted
        self.warm = warm
        self.loaded: ModelLoaded | None = None
        self.served_name = ""  # of a model that may change; empty: the options' name is used

    @property
    def ready(self) -> bool:
        """Whether the model is loaded, or will be loaded again by the next request."""
        return self.loaded is not None and self.warm

    @property
    def heartbeat(self) -> Heartbeat | None:
        return self._requests.heartbeat

    def want_model(self) -> None:
        if self._on_model_wanted is not None:
            self._on_model_wanted()

    def require_model(self) -> ModelLoaded:
        """Return the loaded model. Raises ModelNotLoaded."""
        if self.loaded is None:
            self.want_model()
            raise ModelNotLoaded
        return self.loaded

    async def generate(self, **fields: Any) -> AsyncGenerator[Event]:
        """Yield the events of an answer. Leaving the iteration cancels it and waits for its end.

        `fields` are those of `GenerateRequest`. Raises the engine's R1Error.
        """
        async with self._open(GenerateRequest, **fields) as request:
            while isinstance(reply := await request.replies.get(), EventReply):
                yield reply.event
        _raise_for(reply)

    async def prepare(self, messages: tuple[Message, ...]) -> None:
        """Fill the KV cache with the beginning of a conversation; any other request ends that.

        Raises the engine's R1Error, as do the methods below.
        """
        await self._result(DoneReply, PrepareRequest, messages=messages, owner="", compute=True)

    async def tokenize(self, text: str, *, special: bool) -> tuple[int, ...]:
        reply = await self._result(TokensReply, TokenizeRequest, text=text, special=special)
        return reply.tokens

    async def detokenize(self, tokens: tuple[int, ...]) -> str:
        return (await self._result(TextReply, DetokenizeRequest, tokens=tokens)).text

    async def embed(self, text: str) -> tuple[float, ...]:
        return (await self._result(EmbeddingReply, EmbedRequest, text=text)).values

    async def similarities(self, question: str, passages: tuple[str, ...]) -> tuple[float, ...]:
        fields = {"question": question, "passages": passages}
        return (await self._result(EmbeddingReply, SimilaritiesRequest, **fields)).values

    async def reduce_weights(self, mib: float) -> bool:
        """Let streamed weights have so much less: see `ReadingMemory`."""
        bill = self.require_model().bill
        if not bill.streams:
            return False
        window_mib = bill.mib_of(BillItem.WINDOW) + mib
        fields = {"memory_budget": int(bill.budget_mib), "window_mib": window_mib}
        await self._result(DoneReply, SetBudgetRequest, **fields)
        return True

    async def _result(
        self, reply_kind: type[_ReplyT], kind: type[AnsweredRequest], **fields: Any
    ) -> _ReplyT:
        async with self._open(kind, **fields) as request:
            reply = await _until_closed(request)
        _raise_for(reply)
        assert isinstance(reply, reply_kind)  # noqa: S101 - the host closes each kind by its own
        return reply

    @asynccontextmanager
    async def _open(
        self, kind: type[AnsweredRequest], **fields: Any
    ) -> AsyncIterator[_LoopRequest]:
        """Send a request. Leaving the block by an exception cancels it.

        What computes is waited for: the engine is not free before.
        """
        self.require_model()
        loop = asyncio.get_running_loop()
        request = self._requests.submit(
            lambda _request_id, cancel: _LoopRequest(cancel, loop), kind, **fields
        )
        try:
            yield request
        except BaseException:
            request.cancel()
            if kind in (GenerateRequest, EmbedRequest, SimilaritiesRequest):
                await _despite_cancellation(asyncio.ensure_future(_until_closed(request)))
            raise


def _raise_for(reply: EventReply | ClosingReply | None) -> None:
    if reply is None:
        raise EngineFailed(detail=tr("the engine was closed"))
    if isinstance(reply, ErrorReply):
        raise reply.report.error


async def _despite_cancellation(work: asyncio.Future[Any]) -> None:
    """Wait for the end of `work`, also where the waiting task is cancelled meanwhile.

    Starlette's cancel scopes cancel a task again at every await; the shielded scope prevents that.
    """
    cancelled: asyncio.CancelledError | None = None
    with CancelScope(shield=True):
        while not work.done():
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        raise cancelled


async def _until_closed(request: _LoopRequest) -> ClosingReply | None:
    """Wait for the closing reply. A request whose process ends gets one as well."""
    while isinstance(reply := await request.replies.get(), EventReply):
        pass
    return reply
