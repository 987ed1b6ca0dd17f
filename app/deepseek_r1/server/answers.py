"""Answers requests with the engine: waits for a place, generates, measures, keeps the deadline.

The KV cache holds the last conversation. One that begins with the server's system prompt keeps the
cells of that prompt; after another one they are computed again as soon as nothing else is computed.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

from deepseek_r1.core import log
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.events import Event
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.server.admission import FairQueue
from deepseek_r1.server.api_responses import ApiError, api_error
from deepseek_r1.server.async_engine import AsyncEngine
from deepseek_r1.server.serve_metrics import ServeMetrics
from deepseek_r1.server.serve_options import ServeOptions


class WarmPrompt:
    """The cells of one system prompt, which may be empty. For one event loop."""

    def __init__(self, engine: AsyncEngine, system_prompt: str) -> None:
        self._engine = engine
        self._beginning = (
            (Message(role=Role.SYSTEM, content=system_prompt),) if system_prompt else ()
        )
        self._cold = False  # another conversation has the cells
        self._warming: asyncio.Task[None] | None = None

    def with_system_prompt(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """Return a conversation with the system prompt where it has none of its own."""
        if messages and messages[0].role is Role.SYSTEM:
            return messages
        return self._beginning + messages

    def before(self, messages: Sequence[Message]) -> None:
        """Note the conversation that is answered next; empty for a raw prompt."""
        if self._beginning and tuple(messages[:1]) != self._beginning:
            self._cold = True

    def after(self) -> None:
        """Compute the system prompt in the background if another conversation has its cells."""
        if self._cold and (self._warming is None or self._warming.done()):
            self._warming = asyncio.get_running_loop().create_task(self.warm())

    async def warm(self) -> None:
        """Compute the system prompt. A failure is logged: it only delays the next first token."""
        if not self._beginning:
            return
        try:
            await self._engine.prepare(self._beginning)
            self._cold = False
        except R1Error as error:
            log.host.warning("the system prompt was not computed ahead: %s", error)


class AnswerService:
    """The engine behind a fair queue. For one event loop."""

    def __init__(self, engine: AsyncEngine, options: ServeOptions) -> None:
        self.engine, self.options = engine, options
        self.queue = FairQueue(options.parallel, options.max_queue)
        self.metrics = ServeMetrics(engine, self.queue)
        self._limits: set[asyncio.Timeout] = set()  # of the requests that are open
        self._cut_off = False
        self.warm_prompt = WarmPrompt(engine, options.system_prompt)

    @property
    def served_name(self) -> str:
        return self.engine.served_name or self.options.served_name

    def require_ready(self) -> None:
        """Raise ApiError while no model is loaded and while the queue is full."""
        if not self.engine.ready:
            self.engine.want_model()
            raise ApiError(503, "The model is being loaded.", code="loading")
        if self.queue.full:
            raise ApiError(
                429, "Too many requests are waiting. Try again later.", code="queue_full"
            )

    def require_model_name(self, name: str | None) -> None:
        """Raise ApiError for the name of another model."""
        served = self.served_name
        if name not in (None, "", served):
            message = f"The model `{str(name)[:200]}` does not exist: this is {served}."
            raise ApiError(404, message, param="model", code="model_not_found")

    def cut_off(self) -> None:
        """End all requests with an error, since the server shuts down."""
        self._cut_off = True
        now = asyncio.get_running_loop().time()
        for limit in tuple(self._limits):
            if not limit.expired():  # one that is late already ends by itself
                limit.reschedule(now)

    @asynccontextmanager
    async def deadline(self) -> AsyncIterator[None]:
        """Limit the time of the block. Raises ApiError, also where requests are cut off."""
        if self._cut_off:
            raise self._count_too_late()
        limit = asyncio.timeout(self.options.request_s)
        try:
            async with limit:
                self._limits.add(limit)
                try:
                    yield
                finally:
                    self._limits.discard(limit)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise self._count_too_late() from error

    def _count_too_late(self) -> ApiError:
        """Count and return the error of a request that has no time left."""
        error = ApiError(
            504, f"The answer took longer than {self.options.request_s:g} s.", code="timeout"
        )
        if self._cut_off:
            error = ApiError(503, "The server is shutting down.", code="shutting_down")
        self.metrics.failed(str(error.code))
        return error

    async def events(self, client: str, **fields: Any) -> AsyncGenerator[Event]:
        """Yield the events of one answer; leaving the iteration ends it. Raises ApiError.

        `client` is who waits in the queue, `fields` are those of `GenerateRequest`.
        """
        record = self.metrics.timer()
        try:
            async with (
                self.deadline(),
                self.queue.place(client),
                aclosing(self.engine.generate(**fields)) as events,
            ):  # exited in reverse order: the answer ends before its place is free
                self.warm_prompt.before(fields.get("messages", ()))
                async for event in events:
                    record(event)
                    yield event
            self.warm_prompt.after()
        except R1Error as error:
            failure = api_error(error)
            self.metrics.failed(failure.code or str(failure.status))
            raise failure from error
