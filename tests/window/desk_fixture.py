"""The real application inside a test: window, store, engine, starter model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from deepseek_r1.core.settings import SamplingSettings
from r1desk import preferences as prefs
from r1desk.desk import Desk
from r1desk.store import Profile, StoreThread

ANSWER_WAIT_MS = 60_000


@contextmanager
def running_desk(
    qtbot: QtBot, folder: Path, adapt: Callable[[prefs.Preferences], None] | None = None
) -> Iterator[Desk]:
    """Open the application on a profile folder; close it as closing the window does."""
    known, damaged = prefs.load(folder) if folder.exists() else (None, None)
    stored = known or prefs.Preferences(welcomed=True)
    if adapt is not None:
        adapt(stored)
    profile = Profile.open(folder)
    store = StoreThread(profile.database)
    desk = Desk(profile, store, stored, damaged)
    store.start()
    try:
        desk.show()
        qtbot.waitExposed(desk.window)
        yield desk
    finally:
        desk.window.closed.disconnect(desk._on_closed)  # it would end pytest's application
        desk._keep_layout()
        desk.window.close()
        desk.close()
        store.close()
        profile.close()
        desk.window.deleteLater()


def short_answers(stored: prefs.Preferences) -> None:
    """Answers of at most 48 tokens, the same every time."""
    stored.sampling = SamplingSettings(max_tokens=48, seed=1)


def wait_ready(qtbot: QtBot, desk: Desk) -> None:
    """Until a model is loaded."""
    qtbot.waitUntil(lambda: desk.models.current is not None, timeout=ANSWER_WAIT_MS)


def wait_answered(qtbot: QtBot, desk: Desk) -> None:
    """Until the question just asked has its answer, stored."""

    def answered() -> bool:
        branch = desk.chat.shown_branch
        return not desk.chat.busy and bool(branch) and branch[-1].state != "streaming"

    qtbot.waitUntil(lambda: desk.chat.busy, timeout=ANSWER_WAIT_MS)
    qtbot.waitUntil(answered, timeout=ANSWER_WAIT_MS)


def ask(qtbot: QtBot, desk: Desk, text: str) -> None:
    """Type a message into the composer and press Enter, as a person does who sees no Stop there."""
    qtbot.waitUntil(lambda: not desk.window.stop_action.isEnabled(), timeout=10_000)
    composer = desk.window.composer
    composer.setFocus()
    qtbot.keyClicks(composer.editor, text)
    qtbot.keyClick(composer.editor, Qt.Key.Key_Return)
