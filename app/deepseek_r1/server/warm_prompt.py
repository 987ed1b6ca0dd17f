"""Keeps the cells of the server's system prompt filled, so that an answer's first token comes soon.

The KV cache holds the last conversation. One that begins with the system prompt keeps the cells of
that prompt; after another one they are computed again as soon as nothing else is computed.
"""

import asyncio
from collections.abc import Sequence

from deepseek_r1.core import log
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.server.async_engine import AsyncEngine


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
