"""The closing replies of requests to the engine's process."""

from typing import Any

from deepseek_r1.host.client import BlockingRequest


def closing(request: BlockingRequest) -> Any:
    """Wait for the closing reply, and return it."""
    for _ in request.events():
        pass
    return request.closing
