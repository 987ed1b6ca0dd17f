"""The application inside a test: its window and store, and the scripted engine for a model.

`test_real_sessions.py` alone has sessions with a model, and says why each needs one.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from deepseek_r1.core.events import AnswerDelta, Event
from deepseek_r1.core.settings import SamplingSettings
from r1desk import preferences as prefs
from r1desk.chat.messages.thinking import ThinkingBox
from r1desk.shell.session import Session
from r1desk.store import Profile, StoreThread
from support.engine_script import EngineScript

Adapt = Callable[[prefs.Preferences], None]


@contextmanager
def running_session(
    qtbot: QtBot, folder: Path, adapt: Adapt | None = None, engine: EngineScript | None = None
) -> Iterator[Session]:
    """The application on a profile folder; `engine` is the script of what it has for a model."""
    with tempfile.TemporaryDirectory(prefix="r1desk-engine-") as plain:
        script = engine or EngineScript(Path(plain))
        with session_with(qtbot, folder, adapt, script.command) as session:
            yield session


@contextmanager
def session_with(
    qtbot: QtBot, folder: Path, adapt: Adapt | None, command: Sequence[str] | None
) -> Iterator[Session]:
    """Open the application on a profile folder; close it as closing the window does.

    `command` is the engine's command line; None is the installation's own, with a model.
    """
    # A made profile without preferences is no first start, which would price all the catalogue.
    stored_there = (folder / prefs.FILE_NAME).exists()
    known, damaged = prefs.load(folder) if stored_there else (None, None)
    stored = known or prefs.Preferences(welcomed=True)
    if adapt is not None:
        adapt(stored)
    profile = Profile.open(folder)
    store = StoreThread(profile.database)
    session = Session(profile, store, stored, damaged, command)
    try:
        session.show()
        qtbot.waitExposed(session.window)
        yield session
    finally:
        session.window.closed.disconnect(session._on_closed)  # it would end pytest's application
        session.window.keep_layout(session.preferences)
        session.window.close()
        session.close()
        store.close()
        profile.close()
        session.window.deleteLater()


@contextmanager
def ready_session(
    qtbot: QtBot, folder: Path, adapt: Adapt | None = None, engine: EngineScript | None = None
) -> Iterator[Session]:
    """The application on a profile folder, once its model is loaded."""
    with running_session(qtbot, folder, adapt, engine) as session:
        wait_ready(qtbot, session)
        yield session


def first_start(stored: prefs.Preferences) -> None:
    """Nobody has been welcomed yet."""
    stored.welcomed = False


def short_answers(stored: prefs.Preferences) -> None:
    """Answers of at most 48 tokens, the same every time."""
    stored.sampling = SamplingSettings(max_tokens=48, seed=1)


def small_context(stored: prefs.Preferences) -> None:
    """Of 512 tokens, of which 40 are kept for the answer."""
    stored.load = stored.load.model_copy(update={"context_length": 512})
    stored.sampling = SamplingSettings(max_tokens=40, seed=1)


def wait_ready(qtbot: QtBot, session: Session) -> None:
    """Until a model is loaded. Fails with what the window shows where that fails."""
    failures: list[str] = []
    session.models.load_failed.connect(lambda report: failures.append(report.text()))

    def loaded() -> bool:
        assert not failures, failures
        shown = session.window.notices.text
        assert session.models.current is not None, (session.engine.state, shown)
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


def ask_and_wait(qtbot: QtBot, session: Session, text: str) -> None:
    """Ask, until the answer is stored."""
    ask(qtbot, session, text)
    wait_answered(qtbot, session)


def texts(session: Session) -> list[str]:
    """The messages of the conversation shown."""
    return [message.content for message in session.chat.shown_branch]


def shown_texts(session: Session) -> list[str]:
    """The messages that the view was given."""
    return [message.content for message in session.window.chat.messages]


def notice_text(session: Session) -> str:
    """What the notices say, the newest first; empty where there are none."""
    return session.window.notices.text


def is_text(_message: int, event: Event) -> bool:
    """Whether what is streamed is text of the answer, and not of its thinking."""
    return isinstance(event, AnswerDelta)


def wait_thinking(qtbot: QtBot, session: Session, least: int = 1) -> ThinkingBox:
    """Until so many characters of the thinking are drawn, and its button with them."""

    def thinks() -> bool:
        box = last_view(session).thinking
        return box is not None and len(box.text) >= least and box.answer_now.isVisible()

    qtbot.waitUntil(lambda: session.chat.answer is not None)
    qtbot.waitUntil(thinks)
    box: ThinkingBox = last_view(session).thinking
    return box


def last_view(session: Session) -> Any:
    """The view of the last answer, once it is built."""
    return session.window.chat.view(session.chat.shown_branch[-1].id)
