"""Clients whose documents are read take turns; several at once where the budget leaves memory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from deepseek_r1.documents.reading_memory import MEMORY_MIB

MOST_READERS: Final = 4
_LEAST_MIB: Final = 64  # with which another document is read beside the first one
_OTHERS_MIB: Final = 192  # that a document leaves to others where it can
_LONGEST_S: Final = 30.0  # of a document while another client waits


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
