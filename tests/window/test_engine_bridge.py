"""The first text of an answer is shown at once; text that follows on text may wait for more."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from deepseek_r1.core.errors import EngineFailed, ErrorReport
from deepseek_r1.core.events import AnswerDelta, Event, PrefillProgress
from deepseek_r1.host import protocol
from deepseek_r1.host.supervisor_events import HostEvent
from r1desk.engine.engine_bridge import EngineBridge, EngineThread


def text(number: int) -> AnswerDelta:
    return AnswerDelta(text=f"{number} ", completion_tokens=number, elapsed_s=0.1 * number)


class EngineStandIn:
    """A bridge without an engine, and the events that one request emitted so far."""

    def __init__(self) -> None:
        self.bridge = EngineBridge()
        self.request = self.bridge.submit(protocol.GenerateRequest, messages=())
        self.events: list[Event] = []
        self.ends: list[object] = []
        self.request.event.connect(self.events.append)
        self.request.done.connect(self.ends.append)
        self.request.failed.connect(self.ends.append)

    @property
    def thread(self) -> EngineThread:
        return self.bridge.findChild(EngineThread)

    def send(self, event: Event) -> None:
        self.send_reply(protocol.EventReply(id=self.request.id, event=event))

    def send_reply(self, reply: HostEvent) -> None:
        self.thread.on_event(reply)
        QCoreApplication.processEvents()


def test_the_first_text_does_not_wait_behind_the_last_prefill_progress(qtbot) -> None:
    engine = EngineStandIn()
    engine.send(PrefillProgress(done=10, total=10, cached=0))
    engine.send(text(1))
    assert engine.events[-1] == text(1)


def test_text_that_follows_on_text_waits_and_is_not_lost(qtbot) -> None:
    engine = EngineStandIn()
    for number in range(1, 6):
        engine.send(text(number))
    qtbot.waitUntil(lambda: engine.events == [text(number) for number in range(1, 6)])


def test_after_a_pause_text_is_shown_at_once_again(qtbot) -> None:
    engine = EngineStandIn()
    engine.send(text(1))
    engine.send(text(2))
    qtbot.waitUntil(lambda: engine.thread.wakes_for_text)
    engine.send(text(3))
    assert engine.events[-1] == text(3)


def test_a_request_ends_with_its_closing_reply_and_hears_no_other(qtbot) -> None:
    engine = EngineStandIn()
    engine.send_reply(protocol.DoneReply(id=engine.request.id + 1))
    assert engine.ends == []
    done = protocol.DoneReply(id=engine.request.id)
    engine.send_reply(done)
    engine.send_reply(done)
    assert engine.ends == [done]


def test_a_request_that_fails_gives_the_report(qtbot) -> None:
    engine = EngineStandIn()
    report: ErrorReport = EngineFailed(detail="no").report()
    engine.send_reply(protocol.ErrorReply(id=engine.request.id, report=report))
    assert engine.ends == [report]


def test_an_abandoned_request_emits_nothing(qtbot) -> None:
    engine = EngineStandIn()
    engine.request.abandon()
    engine.send(text(1))
    engine.send_reply(protocol.DoneReply(id=engine.request.id))
    assert engine.events == []
    assert engine.ends == []


def test_a_stopped_engine_emits_nothing_more(qtbot) -> None:
    engine = EngineStandIn()
    engine.bridge.stop()
    engine.send_reply(protocol.DoneReply(id=engine.request.id))
    assert engine.ends == []
