"""Server-sent events: their encoding, pings in a silent stream, and clients that disconnect."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Any, TypeVar

from anyio import CancelScope
from starlette.requests import Request

_T = TypeVar("_T")
PING = ": ping\n\n"
DONE = "data: [DONE]\n\n"


def data(body: dict[str, Any]) -> str:
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


async def close_iterator(events: AsyncIterator[Any]) -> None:
    """Close an asynchronous generator, also inside of a cancelled scope of Starlette's."""
    close = getattr(events, "aclose", None)
    if close is not None:
        with CancelScope(shield=True):
            await close()


async def wait_for_disconnect(request: Request) -> None:
    """Return when the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
