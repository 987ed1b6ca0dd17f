"""Text of a fast model in fewer, larger events: each event costs both processes, each token not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from deepseek_r1.core.events import AnswerDelta, GenerationEvent, ThinkingDelta

BUNDLE_S = 0.05


def bundled(
    events: Iterable[GenerationEvent], clock: Callable[[], float] = time.monotonic
) -> Iterator[GenerationEvent]:
    """`events`, where text that follows text within `BUNDLE_S` may wait for the next event.

    The first token and the tokens of a slow model never wait. Nothing is lost where `events`
    ends with an exception: what waited is yielded before it is raised.
    """
    waiting: AnswerDelta | ThinkingDelta | None = None
    sent_at = float("-inf")
    source = iter(events)
    while True:
        try:
            event = next(source, None)
        except Exception:
            if waiting is not None:
                yield waiting
            raise
        if waiting is not None and type(event) is not type(waiting):
            yield waiting
            waiting = None
        if event is None:
            return
        if not isinstance(event, AnswerDelta | ThinkingDelta):
            yield event
            continue
        if waiting is not None:
            event = event.model_copy(update={"text": waiting.text + event.text})
        if clock() - sent_at >= BUNDLE_S:
            waiting = None
            sent_at = clock()
            yield event
        else:
            waiting = event
