"""Counts the requests of each program that uses the server, by the name in its User-Agent."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from deepseek_r1.host.sharing_protocol import MAX_CLIENTS, MAX_NAME_CHARACTERS, SharingClient
from deepseek_r1.server.guard import OPEN_PATHS


@dataclass
class _Counts:
    requests: int = 0
    running: int = 0


class ClientLog:
    """The programs that used the server last, at most `MAX_CLIENTS`. For one event loop."""

    def __init__(self) -> None:
        self.changed = False  # since whoever reads it has set it back
        self._counts: OrderedDict[str, _Counts] = OrderedDict()

    def clients(self) -> tuple[SharingClient, ...]:
        """Return the programs, the last ones first."""
        return tuple(
            SharingClient(name=name, requests=each.requests, running=each.running)
            for name, each in reversed(self._counts.items())
        )[:MAX_CLIENTS]

    @contextmanager
    def counted(self, name: str) -> Iterator[None]:
        """Count a request, which runs during the block."""
        counts = self._counts.setdefault(name, _Counts())
        self._counts.move_to_end(name)
        counts.requests += 1
        counts.running += 1
        self._drop_oldest()
        self.changed = True
        try:
            yield
        finally:
            counts.running -= 1
            self.changed = True

    def _drop_oldest(self) -> None:
        idle = [name for name, counts in self._counts.items() if not counts.running]
        for name in idle[: max(0, len(self._counts) - MAX_CLIENTS)]:
            del self._counts[name]


class CountedRequests:
    """ASGI middleware behind the guard: requests with a wrong key are not counted."""

    def __init__(self, app: ASGIApp, log: ClientLog) -> None:
        self._app, self._log = app, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        with self._log.counted(program_name(dict(scope["headers"]).get(b"user-agent", b""))):
            await self._app(scope, receive, send)


def program_name(user_agent: bytes) -> str:
    """Return the name in a User-Agent, without characters that cannot be printed."""
    text = user_agent[: 4 * MAX_NAME_CHARACTERS].decode("utf-8", "replace")
    shown = "".join(character for character in text if character.isprintable()).strip()
    return shown[:MAX_NAME_CHARACTERS] or "?"
