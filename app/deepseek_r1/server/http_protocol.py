"""uvicorn's HTTP protocol, for clients whose request turns out to be no HTTP after its head."""

from __future__ import annotations

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class HttpProtocol(H11Protocol):
    """Answers such a request once: with status 400, or with the response that has begun.

    uvicorn's own sends both, for which h11 raises an error. A response that has begun is cut off,
    and HEAD gets none, because h11 allows no body for it.
    """

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, and close the connection."""
        state, cycle = self.conn.our_state, self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True  # what the application sends is dropped
            cycle.message_event.set()
        of_head = state is h11.SEND_RESPONSE and self.scope["method"] == "HEAD"
        if state not in (h11.IDLE, h11.SEND_RESPONSE) or of_head:
            self.transport.close()
        else:
            super().send_400_response(msg)
