"""The engine freezes, aborts or is killed: the window says it in a sentence and goes on."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable
from operator import methodcaller
from pathlib import Path

import psutil
import pytest
from pytestqt.qtbot import QtBot

from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.host.supervisor import Supervisor
from deepseek_r1.host.watchdog import HangLimits
from r1desk import preferences as prefs
from r1desk.chat.intents import Regenerate
from r1desk.engine import engine_bridge
from window.session_fixture import ask, running_session, wait_answered, wait_ready
from window.stall_meter import answering_window

pytestmark = pytest.mark.integration

FAULTS: dict[str, tuple[Callable[[psutil.Process], None], str]] = {
    "frozen": (psutil.Process.suspend, "did not respond for")
}
if sys.platform == "win32":
    FAULTS["killed"] = (psutil.Process.kill, "The engine stopped unexpectedly")
else:
    FAULTS |= {
        "killed": (psutil.Process.kill, "The system ended the engine"),
        "aborted": (methodcaller("send_signal", signal.SIGABRT), "The engine stopped unexpectedly"),
        "crashed": (methodcaller("send_signal", signal.SIGSEGV), "The engine stopped unexpectedly"),
    }
LONG = "Write a very long story about a fox."


def long_answers(stored: prefs.Preferences) -> None:
    stored.sampling = SamplingSettings(max_tokens=400, seed=3, temperature=1.0)


@pytest.mark.quiet
@pytest.mark.parametrize(("fault", "sentence"), FAULTS.values(), ids=FAULTS.keys())
def test_an_engine_that_fails_costs_one_answer_and_comes_back(
    qtbot: QtBot,
    own_profile: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[psutil.Process], None],
    sentence: str,
) -> None:
    limits = HangLimits(beats_s=1.5, check_s=0.3)
    monkeypatch.setattr(engine_bridge, "Supervisor", functools.partial(Supervisor, limits=limits))
    with running_session(qtbot, own_profile, long_answers) as session:
        wait_ready(qtbot, session)
        with answering_window():
            ask(qtbot, session, LONG)
            with qtbot.waitSignal(session.chat.answer_streamed):
                pass
            pid = session.engine.engine_pid
            fault(psutil.Process(pid))
            qtbot.waitUntil(lambda: session.chat.shown_branch[-1].state != "streaming")
        question, answer = session.chat.shown_branch
        assert question.content == LONG
        assert answer.state == "failed"
        assert answer.content, "what came before is kept"
        assert sentence in answer.error_text
        session.chat_settings.set_sampling(SamplingSettings(max_tokens=8, seed=1))
        session.window.chat.requested.emit(Regenerate(answer.id))
        wait_answered(qtbot, session)
        assert session.chat.shown_branch[-1].state == "complete"
        assert session.engine.engine_pid not in {0, pid}


def test_an_engine_that_dies_while_idle_is_started_again_by_the_next_message(
    qtbot: QtBot, own_profile: Path
) -> None:
    with running_session(qtbot, own_profile, long_answers) as session:
        session.chat_settings.set_sampling(SamplingSettings(max_tokens=8, seed=1))
        wait_ready(qtbot, session)
        psutil.Process(session.engine.engine_pid).kill()
        qtbot.waitUntil(lambda: session.models.current is None)
        ask(qtbot, session, "Are you there?")
        wait_answered(qtbot, session)
        assert session.chat.shown_branch[-1].state == "complete"
