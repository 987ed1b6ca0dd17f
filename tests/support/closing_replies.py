"""What came of a request: its closing reply, and the text of its events."""

from collections.abc import Iterable
from typing import Any

from deepseek_r1.core.events import AnswerDelta
from deepseek_r1.host.client import BlockingRequest


def closing(request: BlockingRequest) -> Any:
    """Wait for the closing reply, and return it."""
    for _ in request.events():
        pass
    return request.closing


def text_of(events: Iterable[object], kind: type = AnswerDelta) -> str:
    return "".join(each.text for each in events if isinstance(each, kind))
