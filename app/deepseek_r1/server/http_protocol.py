"""uvicorn's HTTP protocol, for clients that send no HTTP, send it slowly, or connect too often."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S, BODY_S = 10.0, 60.0  # from its first byte to its last
FRAMING_BYTES = 8 << 10  # around the chunks of a body, in which more is allowed for larger ones
REFUSAL_S = 2.0  # until such a body is refused: its client would send the next one at once
_PLAIN_BYTES, _FRAMED_BYTES = 16 << 10, 512  # taken at once: h11 works for each chunk
_FREE_DESCRIPTORS = 64  # for everything but connections


def most_connections() -> int:
    """The number of clients that may be connected: half of what the process may open at most."""
    if sys.platform == "win32":
        return 512
    import resource  # noqa: PLC0415 - Windows has none

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(8, min(512, (limit - _FREE_DESCRIPTORS) // 2))


class HttpProtocol(H11Protocol):
    """Closes what keeps a connection without sending a request, and answers what is no HTTP.

    uvicorn's own class waits for a head and a body as long as it takes, for any number of clients,
    and h11 takes about 25 µs for each chunk of a body, however small. It also sends a body to HEAD
    with status 400, for which h11 raises an error.
    """

    _watched: object = None  # the state of the connection that has a deadline
    _deadline: asyncio.TimerHandle | None = None
    _framing = 0  # bytes of the body's framing so far
    _unread = b""  # received, and not yet taken
    _refused = False  # nothing more is taken

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection. Where there are too many, another one that sends nothing is closed."""
        super().connection_made(transport)
        self.made_at = self.loop.time()
        if len(self.connections) > most_connections():
            self._evict_one()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what a client sent, a little at a time: others are answered in between."""
        if self._refused:
            return
        waits = bool(self._unread)
        self._unread += data
        if not waits:
            self._take()

    def _take(self) -> None:
        if self.transport.is_closing():
            return
        in_body = self.conn.their_state is h11.SEND_BODY
        plain = in_body and (b"transfer-encoding", b"chunked") not in self.headers
        size = _PLAIN_BYTES if plain else _FRAMED_BYTES
        data, self._unread = self._unread[:size], self._unread[size:]
        try:
            self._receive(data)
        except Exception:
            self.transport.abort()  # asyncio does it only for what it calls itself
            raise
        if self._refused:
            self.transport.pause_reading()
            self._unread = b""
            return
        self._watch()
        if self._unread:
            self.transport.pause_reading()
            self.loop.call_soon(self._take)
        elif not self.flow.read_paused:
            self.transport.resume_reading()

    def _receive(self, data: bytes) -> None:
        cycle = self.cycle
        in_body = self.conn.their_state is h11.SEND_BODY
        before = len(cycle.body) if in_body else 0
        answered = self.conn.our_state is h11.DONE  # the rest of the body is thrown away
        super().data_received(data)
        if not in_body or cycle is not self.cycle:
            self._framing = 0
            return
        taken = len(cycle.body) - before
        framing = 3 * data.count(b"\r\n") if answered else len(data) - taken
        self._framing += framing - len(data) // 32
        if self._framing > FRAMING_BYTES:
            self._refused = True
            why = "The body comes in chunks that are too small."
            self._set_deadline(REFUSAL_S, lambda: self.send_400_response(why))

    def _watch(self) -> None:
        """Set the deadline of what the client is sending now, if it began just now."""
        state = self.conn.their_state
        if state is self._watched:
            return
        self._watched = state
        seconds = HEAD_S if state is h11.IDLE else BODY_S if state is h11.SEND_BODY else None
        self._set_deadline(seconds, self.end)

    def _set_deadline(self, seconds: float | None, then: Callable[[], None]) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, then)

    def end(self) -> None:
        """Close the connection; its request, if there is one, ends as one whose client left."""
        self.transport.abort()

    @property
    def sends_nothing(self) -> bool:
        """True where no complete request is still to be answered, and it is not closed already."""
        if self.transport.is_closing():  # its end comes in a later turn of the loop
            return False
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    def _evict_one(self) -> None:
        """Close the oldest connection without a request, of the client that has most of them."""
        waiting = [
            each
            for each in self.connections
            if isinstance(each, HttpProtocol) and each is not self and each.sends_nothing
        ]
        if not waiting:
            self.end()
            return
        held = Counter(each.client and each.client[0] for each in waiting)
        busiest = held.most_common(1)[0][0]
        of_busiest = (e for e in waiting if (e.client and e.client[0]) == busiest)
        min(of_busiest, key=lambda each: each.made_at).end()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, and close the connection."""
        state, cycle = self.conn.our_state, self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True  # what the application sends is dropped
            cycle.message_event.set()
        if state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        of_head = state is h11.SEND_RESPONSE and self.scope["method"] == "HEAD"
        super().send_400_response("" if of_head else msg)
