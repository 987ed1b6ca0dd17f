"""The first text of an answer is shown at once; text that follows on text may wait for more."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from deepseek_r1.core.events import AnswerDelta, Event, PrefillProgress
from deepseek_r1.host import protocol
from r1desk.bridge import EngineBridge


def text(number: int) -> AnswerDelta:
    return AnswerDelta(text=f"{number} ", completion_tokens=number, elapsed_s=0.1 * number)


class Told:
    """A bridge without an engine, and the events that came out of it so far."""

    def __init__(self) -> None:
        self.bridge = EngineBridge()
        self.events: list[Event] = []
        self.bridge.event.connect(lambda _request, event: self.events.append(event))

    def hear(self, event: Event) -> None:
        """As if the engine had said it."""
        self.bridge._worker._on_notice(protocol.EventFrame(id=1, event=event))
        QCoreApplication.processEvents()


def test_the_first_text_does_not_wait_behind_the_last_sign_of_reading(qtbot) -> None:
    told = Told()
    told.hear(PrefillProgress(done=10, total=10, cached=0))
    told.hear(text(1))
    assert told.events[-1] == text(1)


def test_text_that_follows_on_text_waits_and_is_not_lost(qtbot) -> None:
    told = Told()
    for number in range(1, 6):
        told.hear(text(number))
    qtbot.waitUntil(lambda: told.events == [text(number) for number in range(1, 6)])


def test_after_a_pause_text_is_told_at_once_again(qtbot) -> None:
    told = Told()
    told.hear(text(1))
    told.hear(text(2))
    qtbot.waitUntil(lambda: told.bridge._worker.tells_of_text)
    told.hear(text(3))
    assert told.events[-1] == text(3)
