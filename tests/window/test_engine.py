"""The engine and the window: a fault is said in a sentence, and the first text shown at once.

Text that follows on text may wait for more.
"""

import functools
import sys

import psutil
import pytest
from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from deepseek_r1.core.errors import EngineFailed
from deepseek_r1.core.events import AnswerDelta, Event, PrefillProgress
from deepseek_r1.host import protocol
from deepseek_r1.host.engine_session import HangLimits
from deepseek_r1.host.protocol import HostEvent
from deepseek_r1.host.supervisor import Supervisor
from r1desk.engine import engine_bridge
from r1desk.engine.engine_bridge import EngineBridge, EngineThread
from r1desk.platform.tasks import Tasks
from r1desk.shell.session import Session
from support.engine_script import Act, EngineScript, crashes, freezes, progress, says, waits_for
from window.mouse_and_keys import press_button
from window.session_fixture import ask_and_wait, ready_session, wait_answered, wait_ready
from window.stall_meter import answering_window

FAULTS: dict[str, tuple[Act, str]] = {"frozen": (freezes(), "did not respond for")}
if sys.platform != "win32":
    FAULTS |= {
        "killed": (crashes("SIGKILL"), "The system ended the engine"),
        "aborted": (crashes("SIGABRT"), "The engine stopped unexpectedly"),
        "crashed": (crashes("SIGSEGV"), "The engine stopped unexpectedly"),
    }


@pytest.mark.quiet
@pytest.mark.parametrize(("fault", "sentence"), FAULTS.values(), ids=FAULTS.keys())
def test_an_engine_that_fails_costs_one_answer_and_comes_back(
    qtbot, own_profile, engine, monkeypatch, fault, sentence
):
    limits = HangLimits(beats_s=1.5, check_s=0.3)
    monkeypatch.setattr(engine_bridge, "Supervisor", functools.partial(Supervisor, limits=limits))
    engine.answers(says("Once upon "), fault)
    with ready_session(qtbot, own_profile, engine=engine) as session:
        pid = session.engine.engine_pid
        with answering_window():
            ask_and_wait(qtbot, session, "Write a story.")
        question, answer = session.chat.shown_branch
        assert question.content == "Write a story."
        assert answer.state == "failed"
        assert answer.content == "Once upon ", "what came before is kept"
        assert sentence in answer.error_text
        engine.answers(says("A fox."))
        press_button(session.window.chat.view(answer.id), "Try again")
        wait_answered(qtbot, session)
        assert session.chat.shown_branch[-1].content == "A fox."
        assert session.engine.engine_pid not in {0, pid}


def test_an_engine_that_dies_while_idle_or_loading_is_started_again_by_the_next_message(
    qtbot: QtBot, ready: Session, engine: EngineScript
) -> None:
    psutil.Process(ready.engine.engine_pid).kill()
    qtbot.waitUntil(lambda: ready.models.current is None)
    ask_and_wait(qtbot, ready, "Are you there?")
    assert ready.chat.shown_branch[-1].state == "complete"
    wait_ready(qtbot, ready)
    engine.loads(progress(0.5), waits_for(engine.gate("never")))
    with qtbot.waitSignal(ready.models.load_progressed):
        ready.models.choose(ready.models.path)
    with qtbot.waitSignal(ready.models.load_failed):
        psutil.Process(ready.engine.engine_pid).kill()
    engine.loads()
    ask_and_wait(qtbot, ready, "And now?")
    assert ready.chat.shown_branch[-1].state == "complete"


def text(number: int) -> AnswerDelta:
    return AnswerDelta(text=f"{number} ", completion_tokens=number, elapsed_s=0.1 * number)


class EngineStandIn:
    """A bridge without an engine, and the events that one request emitted so far."""

    def __init__(self) -> None:
        self.bridge = EngineBridge()
        self.request = self.bridge.submit(protocol.GenerateRequest, messages=())
        self.events: list[Event] = []
        self.ends: list[object] = []
        Tasks(self.bridge, self.ends.append).start(self._take())

    async def _take(self) -> None:
        async for event in self.request:
            self.events.append(event)
        self.ends.append(await self.request)

    @property
    def thread(self) -> EngineThread:
        return self.bridge.findChild(EngineThread)

    def send(self, event: Event) -> None:
        self.send_reply(protocol.EventReply(id=self.request.id, event=event))

    def send_reply(self, reply: HostEvent) -> None:
        self.thread.on_event(reply)
        QCoreApplication.processEvents()


@pytest.fixture
def bridged(qapp: QApplication) -> EngineStandIn:
    return EngineStandIn()


def test_the_first_text_does_not_wait_behind_the_last_prefill_progress(bridged):
    bridged.send(PrefillProgress(done=10, total=10, cached=0))
    bridged.send(text(1))
    assert bridged.events[-1] == text(1)


def test_text_that_follows_on_text_waits_and_is_not_lost(qtbot, bridged):
    for number in range(1, 6):
        bridged.send(text(number))
    qtbot.waitUntil(lambda: bridged.events == [text(number) for number in range(1, 6)])


def test_after_a_pause_text_is_shown_at_once_again(qtbot: QtBot, bridged: EngineStandIn) -> None:
    bridged.send(text(1))
    bridged.send(text(2))
    qtbot.waitUntil(lambda: bridged.thread.wakes_for_text)
    bridged.send(text(3))
    assert bridged.events[-1] == text(3)


def test_a_request_ends_with_its_closing_reply_and_hears_no_other(bridged: EngineStandIn) -> None:
    bridged.send_reply(protocol.DoneReply(id=bridged.request.id + 1))
    assert bridged.ends == []
    done = protocol.DoneReply(id=bridged.request.id)
    bridged.send_reply(done)
    bridged.send_reply(done)
    assert bridged.ends == [done]


def test_a_request_that_fails_gives_the_report(bridged: EngineStandIn) -> None:
    report = EngineFailed(detail="no").report()
    bridged.send_reply(protocol.ErrorReply(id=bridged.request.id, report=report))
    assert [error.report() for error in bridged.ends] == [report]


def test_a_stopped_engine_says_nothing(bridged: EngineStandIn) -> None:
    bridged.bridge.stop()
    bridged.send(text(1))
    bridged.send_reply(protocol.DoneReply(id=bridged.request.id))
    assert bridged.events == []
    assert bridged.ends == []
