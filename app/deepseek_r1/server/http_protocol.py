"""uvicorn's HTTP protocol, for clients whose request turns out to be no HTTP after its head."""

from __future__ import annotations

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class HttpProtocol(H11Protocol):
    """Answers such a request with status 400, or cuts off the response that has begun.

    uvicorn's own class does both, and sends a body to HEAD as well, for which h11 raises an error.
    """

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
