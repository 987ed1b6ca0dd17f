"""uvicorn's HTTP protocol, for clients whose request turns out to be no HTTP after its head."""

from __future__ import annotations

from uvicorn.protocols.http.h11_impl import H11Protocol


class HttpProtocol(H11Protocol):
    """Answers such a request once: with status 400, or with the response that has begun.

    uvicorn's own sends both, for which h11 raises an error.
    """

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, and close the connection."""
        cycle = self.cycle
        if cycle is not None and cycle.response_started:
            self.transport.close()
            return
        super().send_400_response(msg)
        if cycle is not None:  # what the application sends is dropped
            cycle.disconnected = True
            cycle.message_event.set()
