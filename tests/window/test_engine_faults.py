"""The engine freezes, aborts or is killed: the window says it in a sentence and goes on."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import psutil
import pytest
from pytestqt.qtbot import QtBot

from deepseek_r1.host.supervisor import Supervisor
from deepseek_r1.host.watchdog import HangLimits
from r1desk.engine import engine_bridge
from support.engine_script import Act, EngineScript, crashes, freezes, progress, says, waits_for
from window.mouse_and_keys import press_button
from window.session_fixture import ask, ready_session, wait_answered, wait_ready
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
    qtbot: QtBot,
    own_profile: Path,
    engine: EngineScript,
    monkeypatch: pytest.MonkeyPatch,
    fault: Act,
    sentence: str,
) -> None:
    limits = HangLimits(beats_s=1.5, check_s=0.3)
    monkeypatch.setattr(engine_bridge, "Supervisor", functools.partial(Supervisor, limits=limits))
    engine.answers(says("Once upon "), fault)
    with ready_session(qtbot, own_profile, engine=engine) as session:
        pid = session.engine.engine_pid
        with answering_window():
            ask(qtbot, session, "Write a story.")
            wait_answered(qtbot, session)
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
    qtbot: QtBot, own_profile: Path, engine: EngineScript
) -> None:
    with ready_session(qtbot, own_profile, engine=engine) as session:
        psutil.Process(session.engine.engine_pid).kill()
        qtbot.waitUntil(lambda: session.models.current is None)
        ask(qtbot, session, "Are you there?")
        wait_answered(qtbot, session)
        assert session.chat.shown_branch[-1].state == "complete"
        wait_ready(qtbot, session)
        engine.loads(progress(0.5), waits_for(engine.gate("never")))
        with qtbot.waitSignal(session.models.load_progressed):
            session.models.choose(session.models.path)
        with qtbot.waitSignal(session.models.load_failed):
            psutil.Process(session.engine.engine_pid).kill()
        engine.loads()
        ask(qtbot, session, "And now?")
        wait_answered(qtbot, session)
        assert session.chat.shown_branch[-1].state == "complete"
