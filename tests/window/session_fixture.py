"""The real application inside a test: window, store, engine, starter model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from deepseek_r1.core.settings import SamplingSettings
from r1desk import preferences as prefs
from r1desk.shell.session import Session
from r1desk.store import Profile, StoreThread


@contextmanager
def running_session(
    qtbot: QtBot,
    folder: Path,
    adapt: Callable[[prefs.Preferences], None] | None = None,
    engine_command: list[str] | None = None,
) -> Iterator[Session]:
    """Open the application on a profile folder; close it as closing the window does."""
    known, damaged = prefs.load(folder) if folder.exists() else (None, None)
    stored = known or prefs.Preferences(welcomed=True)
    if adapt is not None:
        adapt(stored)
    profile = Profile.open(folder)
    store = StoreThread(profile.database)
    session = Session(profile, store, stored, damaged, engine_command)
    store.start()
    try:
        session.show()
        qtbot.waitExposed(session.window)
        yield session
    finally:
        session.window.closed.disconnect(session._on_closed)  # it would end pytest's application
        session._keep_layout()
        session.window.close()
        session.close()
        store.close()
        profile.close()
        session.window.deleteLater()


@contextmanager
def ready_session(
    qtbot: QtBot, folder: Path, adapt: Callable[[prefs.Preferences], None] | None = None
) -> Iterator[Session]:
    """The application on a profile folder, once its model is loaded."""
    with running_session(qtbot, folder, adapt) as session:
        wait_ready(qtbot, session)
        yield session


def short_answers(stored: prefs.Preferences) -> None:
    """Answers of at most 48 tokens, the same every time."""
    stored.sampling = SamplingSettings(max_tokens=48, seed=1)


def endless_answers(stored: prefs.Preferences) -> None:
    """Answers that last until they are stopped: the starter's two ends of a text are ruled out."""
    never = {0: -100.0, 2: -100.0}
    stored.sampling = SamplingSettings(
        max_tokens=4000, seed=1, logit_bias=never, end_repetition=False
    )


def wait_ready(qtbot: QtBot, session: Session) -> None:
    """Until a model is loaded. Fails with what the window shows where that fails."""
    failures: list[str] = []
    session.models.load_failed.connect(lambda report: failures.append(report.text()))

    def loaded() -> bool:
        assert not failures, failures
        shown = session.window.notices.notice
        assert session.models.current is not None, (session.engine.state, shown and shown.text)
        return True

    qtbot.waitUntil(loaded)


def wait_answered(qtbot: QtBot, session: Session) -> None:
    """Until the question just asked has its answer, stored; it is busy from the question on."""

    def answered() -> bool:
        branch, under_way = session.chat.shown_branch, ("streaming", "queued")
        return not session.chat.busy and bool(branch) and branch[-1].state not in under_way

    qtbot.waitUntil(answered)


def ask(qtbot: QtBot, session: Session, text: str) -> None:
    """Type a message into the composer and press Enter, as a person does who sees no Stop there."""
    qtbot.waitUntil(lambda: not session.chat.busy_here)
    composer = session.window.composer
    composer.setFocus()
    qtbot.keyClicks(composer.editor, text)
    qtbot.keyClick(composer.editor, Qt.Key.Key_Return)
