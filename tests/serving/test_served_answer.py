"""An answer for another program that is interrupted: when it goes on, and when it does not."""

from collections.abc import Iterator
from typing import Any

import pytest
from PySide6.QtCore import QObject
from pytestqt.qtbot import QtBot

from deepseek_r1.core import events
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.host.protocol import DoneReply, EngineState, EventReply, GenerateRequest
from r1desk.engine.engine_bridge import EngineRequest
from r1desk.serving.served_answer import LOOK_AGAIN_MS, ServedAnswer

STOPPED = events.GenerationFinished(
    stats=events.GenerationStats(finish_reason=events.FinishReason.CANCELLED)
)
PROMPT = [Message(role=Role.USER, content="Hello")]


class _Posts:
    """Takes what is sent to the engine, which replies when the test says so."""

    def post(self, message: object) -> None:
        pass


class _Engine:
    """Submits requests whose replies the test emits, in an order that is rare with a real one."""

    def __init__(self) -> None:
        self.state = EngineState.READY
        self.requests: list[EngineRequest] = []

    def submit(self, _kind: object, **_fields: object) -> EngineRequest:
        self.requests.append(EngineRequest(len(self.requests) + 1, _Posts()))
        return self.requests[-1]


@pytest.fixture
def engine() -> _Engine:
    return _Engine()


@pytest.fixture
def sent() -> list[Any]:
    return []


@pytest.fixture
def answer(qtbot: QtBot, engine: _Engine, sent: list[Any]) -> Iterator[ServedAnswer]:
    request = GenerateRequest(id=7, messages=PROMPT, sampling=SamplingSettings(), yields=True)
    parent = QObject()
    yield ServedAnswer(engine, request, sent.append, parent)
    parent.deleteLater()


def interrupt(engine: _Engine) -> None:
    engine.requests[-1].take(events.AnswerDelta(text="One"))
    engine.requests[-1].take(STOPPED)


def test_it_goes_on_once_the_engine_is_free(qtbot, answer, engine, sent):
    interrupt(engine)
    engine.state = EngineState.GENERATING
    engine.requests[-1].close(DoneReply(id=1))
    assert answer.paused
    engine.state = EngineState.READY
    qtbot.waitUntil(lambda: len(engine.requests) == 2)
    assert not any(isinstance(reply, DoneReply) for reply in sent)


def test_a_program_that_leaves_while_it_is_interrupted_ends_it(qtbot, answer, engine, sent):
    """The cancel comes between the engine's last event and its reply."""
    interrupt(engine)
    answer.cancel()
    engine.requests[-1].close(DoneReply(id=1))
    *_, finished, closing = sent
    assert isinstance(finished, EventReply)
    assert finished.event == STOPPED
    assert closing == DoneReply(id=7)
    qtbot.wait(2 * LOOK_AGAIN_MS)
    assert len(engine.requests) == 1
