"""Admits a limited number of requests to the engine; the others wait in a fair queue.

Clients take turns: one that sends fifty requests does not make another one wait for all of them.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from deepseek_r1.core.errors import EngineBusy


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
        """Whether another request would be refused."""
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
