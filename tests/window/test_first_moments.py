"""The first moments: the first answer, words typed before the profile has opened, no display."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from r1desk.platform.display import missing_packages
from r1desk.store import StoreThread
from support.patience import PATIENCE_S
from window.session_fixture import ask, running_session, wait_answered


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The store does nothing until the event is set."""
    ready = threading.Event()
    start = StoreThread.start

    def start_late(store: StoreThread) -> None:
        store.submit(lambda _store: ready.wait(PATIENCE_S))
        start(store)

    monkeypatch.setattr(StoreThread, "start", start_late)
    yield ready
    ready.set()


def test_words_typed_before_the_store_has_opened_stay_in_the_box(
    qtbot: QtBot, own_profile: Path, slow_disk: threading.Event
) -> None:
    with running_session(qtbot, own_profile) as session:
        qtbot.keyClicks(session.window.composer.editor, "What is")
        with qtbot.waitSignal(session.chat.branch_shown):
            slow_disk.set()
        qtbot.keyClicks(session.window.composer.editor, " the capital")
        assert session.window.composer.text() == "What is the capital"


def test_words_typed_before_the_last_conversation_is_read_stay_in_a_new_one(
    qtbot: QtBot, own_profile: Path, slow_disk: threading.Event
) -> None:
    slow_disk.set()
    with running_session(qtbot, own_profile) as session:
        ask(qtbot, session, "Name a fruit.")
        wait_answered(qtbot, session)
    slow_disk.clear()
    with running_session(qtbot, own_profile) as session:
        qtbot.keyClicks(session.window.composer.editor, "What is")
        with qtbot.waitSignal(session.chat.branch_shown):
            slow_disk.set()
        assert session.window.composer.text() == "What is"
        assert session.chat.conversation_id is None


@pytest.mark.skipif(sys.platform != "linux", reason="xcb is X11's")
def test_a_start_that_qt_ends_says_why_in_the_terminal(tmp_path: Path) -> None:
    if packages := missing_packages(["xcb"]):
        pytest.skip(f"Qt's xcb platform needs {', '.join(packages)}")
    program = [sys.executable, "-m", "r1desk"]
    nowhere = {"DISPLAY": ":no", "QT_QPA_PLATFORM": "xcb", "R1DESK_PROFILE": str(tmp_path)}
    ended = subprocess.run(
        program, env=os.environ | nowhere, capture_output=True, text=True, check=False
    )
    assert ended.returncode != 0
    assert "no Qt platform plugin could be initialized" in ended.stderr
    assert "could not connect to display :no" in (tmp_path / "logs" / "window.log").read_text()
    assert str(tmp_path / "logs" / "window.log") in ended.stderr
