"""Whose document is read next, and with how much memory."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from deepseek_r1.server.admission import ReaderTurns


class Clients:
    """Clients whose documents are read until `leave`."""

    def __init__(self, left_mib: int) -> None:
        self.turns = ReaderTurns(lambda: left_mib)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, *names: str) -> None:
        for name in names:
            self._tasks[name] = asyncio.create_task(self._read(name.partition(" ")[0]))
            await asyncio.sleep(0)

    async def _read(self, name: str) -> None:
        async with self.turns.turn(name):
            await asyncio.Future()

    async def leave(self, name: str) -> None:
        task = self._tasks.pop(name)
        task.cancel()
        await asyncio.wait({task})

    async def all_leave(self) -> None:
        for name in tuple(self._tasks):
            await self.leave(name)


def run(left_mib: int, work: Callable[[Clients], Awaitable[None]]) -> None:
    async def walk() -> None:
        clients = Clients(left_mib)
        await work(clients)
        await clients.all_leave()
        assert not clients.turns.given

    asyncio.run(walk())


@pytest.mark.parametrize(
    ("left_mib", "given"),
    [(50, [50]), (100, [100]), (128, [64, 64]), (700, [508, 96, 96]), (9_000, [1024] * 4)],
)
def test_documents_are_read_at_once_as_far_as_the_memory_reaches(left_mib: int, given: list[int]):
    async def work(clients: Clients) -> None:
        await clients.come("a", "b", "c", "d", "e")
        assert list(clients.turns.given.values()) == given

    run(left_mib, work)


def test_a_client_has_one_turn_and_the_others_come_in_between():
    async def work(clients: Clients) -> None:
        await clients.come("a", "a 2", "a 3", "b")
        assert set(clients.turns.given) == {"a", "b"}
        await clients.leave("a 2")  # while it waits
        await clients.leave("a")
        assert set(clients.turns.given) == {"a", "b"}

    run(128, work)


def test_a_long_reading_ends_where_another_client_waits():
    async def work(clients: Clients) -> None:
        await clients.come("a", "a 2")
        assert not clients.turns.is_over("a", 31)
        await clients.come("b")
        assert clients.turns.is_over("a", 31)
        assert not clients.turns.is_over("a", 29)

    run(60, work)
