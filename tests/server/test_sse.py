"""Events of an answer between its iterator and the client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from deepseek_r1.server.answer_stream import with_pings
from support.patience import PATIENCE_S

LONG_S = 2 * PATIENCE_S


class EndedError(Exception):
    """The events ended with an error of their own."""


async def collect(events: AsyncIterator[int], received: list[int | None]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        async for event in with_pings(events, LONG_S):
            received.append(event)


def test_a_time_limit_of_the_events_holds_after_some_of_them_came():
    async def events() -> AsyncIterator[int]:
        try:
            async with asyncio.timeout(None) as limit:
                yield 1
                await asyncio.sleep(0.01)
                yield 2
                limit.reschedule(asyncio.get_running_loop().time() + 0.01)
                await asyncio.sleep(LONG_S)
        except TimeoutError:
            raise EndedError from None

    received: list[int | None] = []
    with pytest.raises(EndedError):
        asyncio.run(collect(events(), received))
    assert received == [1, 2]


def test_an_error_of_the_events_comes_after_those_before_it():
    async def events() -> AsyncIterator[int]:
        yield 1
        raise EndedError

    received: list[int | None] = []
    with pytest.raises(EndedError):
        asyncio.run(collect(events(), received))
    assert received == [1]


def test_signs_of_life_come_while_an_event_is_awaited_and_no_event_is_lost():
    async def received() -> list[int | None]:
        waited = asyncio.Event()

        async def events() -> AsyncIterator[int]:
            yield 1
            await waited.wait()
            yield 2

        seen = []
        async for event in with_pings(events(), 0.01):
            seen.append(event)
            if event is None:
                waited.set()
        return seen

    seen = asyncio.run(received())
    assert seen[:2] == [1, None]
    assert [event for event in seen if event is not None] == [1, 2]


def test_leaving_waits_until_the_events_have_ended():
    async def ended_after_leaving() -> bool:
        ended = False

        async def events() -> AsyncIterator[int]:
            nonlocal ended
            try:
                yield 1
                await asyncio.sleep(LONG_S)
            finally:
                await asyncio.sleep(0.01)
                ended = True

        async with aclosing(with_pings(events(), LONG_S)) as received:
            assert await anext(received) == 1
        return ended

    assert asyncio.run(ended_after_leaving())
