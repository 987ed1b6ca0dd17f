"""The end of the application: nothing crashes, whatever was copied or is still on its way."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from r1desk.store import StoreThread
from r1desk.store.store_bridge import StoreBridge
from support.patience import PATIENCE_S
from window.session_fixture import ask, endless_answers, running_session, wait_ready

COPY_AND_END = """
from PySide6.QtWidgets import QApplication
from r1desk.chat.widgets.text_style import TextStyle
from r1desk.chat.widgets.prose_view import ProseView
from r1desk.platform.clipboard import let_copied_text_outlive_python

app = QApplication([])
prose = ProseView(TextStyle.of(app.palette(), app.font()))
prose.setPlainText("copied")
prose.selectAll()
prose.copy()
let_copied_text_outlive_python()
assert app.clipboard().text() == "copied"
"""


def test_a_copied_text_does_not_crash_the_end_of_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", COPY_AND_END], check=False, timeout=PATIENCE_S)
    assert done.returncode == 0


def test_a_result_that_comes_after_the_end_starts_nothing(qtbot: QtBot, tmp_path: Path) -> None:
    thread = StoreThread(tmp_path / "chats.sqlite3")
    thread.start()
    bridge = StoreBridge(thread)
    followed: list[object] = []
    late: Future[int] = Future()
    bridge._watch(late, followed.append, None)
    bridge.close()
    late.set_result(1)
    thread.close()
    qtbot.wait(50)
    assert followed == []


@pytest.mark.integration
def test_closing_during_an_answer_keeps_what_was_written(qtbot: QtBot, tmp_path: Path) -> None:
    with running_session(qtbot, tmp_path / "profile", endless_answers) as session:
        wait_ready(qtbot, session)
        ask(qtbot, session, "Tell me a long story about the sea.")
        qtbot.waitUntil(lambda: session.chat.answer is not None and session.chat.answer.text != "")
        written = session.chat.answer.text
    qtbot.wait(50)  # the engine's last word, which has no answer any more to end
    with running_session(qtbot, tmp_path / "profile") as session:
        qtbot.waitUntil(lambda: len(session.chat.shown_branch) == 2)
        kept = session.chat.shown_branch[-1]
        assert kept.content.startswith(written)
        assert kept.state == "stopped"
