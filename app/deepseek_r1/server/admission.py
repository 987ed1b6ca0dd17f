"""Admits clients: to the engine a limited number of requests, to the documents' readers one each.

Those that wait take turns: one that sends fifty requests does not make another one wait for all of
them.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from starlette.requests import Request

from deepseek_r1.core.errors import EngineBusy
from deepseek_r1.documents.reading_memory import MEMORY_MIB

MOST_READERS: Final = 4
_LEAST_MIB: Final = 64  # with which another document is read beside the first one
_OTHERS_MIB: Final = 192  # that a document leaves to others where it can
_LONGEST_S: Final = 30.0  # of a document while another client waits


class FairQueue:
    """Admits requests in the order of their clients' turns. For one event loop.

    `running` and `waiting` are numbers of requests.
    """

    def __init__(self, places: int, max_waiting: int) -> None:
        """`places` is the most requests that run at once, `max_waiting` the most that wait."""
        self._places, self._max_waiting = places, max_waiting
        self.running = self.waiting = 0
        self._clients: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def full(self) -> bool:
        return self.running >= self._places and self.waiting >= self._max_waiting

    @asynccontextmanager
    async def place(self, client: str) -> AsyncIterator[None]:
        """Wait for a place and hold it during the block. Raises EngineBusy for a full queue."""
        await self._enter(client)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, client: str) -> None:
        if self.running < self._places and not self._clients:
            self.running += 1
            return
        if self.waiting >= self._max_waiting:
            raise EngineBusy
        turn = asyncio.get_running_loop().create_future()
        self._clients.setdefault(client, deque()).append(turn)
        self.waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()  # the place came at the moment of the cancellation
            else:
                self._remove(client, turn)
            raise

    def _remove(self, client: str, turn: asyncio.Future[None]) -> None:
        turns = self._clients.get(client)
        if turns is None or turn not in turns:
            return
        turns.remove(turn)
        self.waiting -= 1
        if not turns:
            del self._clients[client]

    def _leave(self) -> None:
        self.running -= 1
        while self._clients and self.running < self._places:
            client, turns = self._clients.popitem(last=False)
            turn = turns.popleft()
            self.waiting -= 1
            if turns:
                self._clients[client] = turns  # at the end: the others come first
            if not turn.done():
                self.running += 1
                turn.set_result(None)


def client_of(request: Request) -> str:
    """Return what identifies a client: its address. All have the same key, or may invent one."""
    return request.client.host if request.client is not None else ""


class ReaderTurns:
    """Each client has one document read at a time. For one event loop."""

    def __init__(self, left_mib: Callable[[], float]) -> None:
        """`left_mib` is what the budget leaves now."""
        self._left_mib = left_mib
        self._free_mib = 0  # while nothing was read
        self.given: dict[str, int] = {}  # MiB of the documents that are read, by client
        self._waiting: list[tuple[str, asyncio.Future[int]]] = []

    @asynccontextmanager
    async def turn(self, client: str) -> AsyncIterator[int]:
        """Wait for the client's turn and hold it during the block, with so many MiB."""
        entry = (client, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        self._admit()
        try:
            given = await entry[1]
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
            else:  # the turn came at the moment of the cancellation
                self._leave(client)
            raise
        try:
            yield given
        finally:
            self._leave(client)

    def is_over(self, client: str, seconds: float) -> bool:
        """Whether a turn that took so long has to end, because another client waits."""
        return seconds > _LONGEST_S and any(each != client for each, _ in self._waiting)

    def _admit(self) -> None:
        for client, turn in tuple(self._waiting):
            if client not in self.given and (mib := self._next_mib()) is not None:
                self._waiting.remove((client, turn))
                self.given[client] = mib
                turn.set_result(mib)

    def _leave(self, client: str) -> None:
        del self.given[client]
        self._admit()

    def _next_mib(self) -> int | None:
        """The MiB of the next document; None where it has to wait."""
        if not self.given:
            self._free_mib = int(self._left_mib())
        left = self._free_mib - sum(self.given.values())
        if self.given and (len(self.given) >= MOST_READERS or left < _LEAST_MIB):
            return None
        share = max(left // 2, left - _OTHERS_MIB)
        return min(share if share >= _LEAST_MIB else left, MEMORY_MIB)
