"""The real window in a process of its own, whose memory is the window's and nothing else's."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
from PySide6.QtCore import QCoreApplication, QEventLoop

from deepseek_r1.core.i18n import use_language
from deepseek_r1.core.paths import profile_dir
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from r1desk import preferences as prefs
from r1desk.chat.answers.controller import ChatController
from r1desk.shell.session import Session
from r1desk.shell.startup import create_application
from r1desk.store import Profile, StoreThread

PATIENCE_S = 150.0


@contextmanager
def own_session(model: Path, load: LoadSettings, tokens: int) -> Iterator[Session]:
    """The application on this user's profile, or on the one that R1DESK_PROFILE names.

    Answers have up to `tokens` tokens, without chance. Once a process.
    """
    use_language("en")
    stored, _ = prefs.load(profile_dir())
    stored.welcomed = True
    stored.model_path = str(model)
    stored.sampling = SamplingSettings(temperature=0.0, max_tokens=tokens)
    stored.load = load
    create_application(sys.argv[:1], stored)
    profile = Profile.open(profile_dir())
    store = StoreThread(profile.database)
    session = Session(profile, store, stored, None)
    session.show()
    try:
        yield session
    finally:
        session.close()
        store.close()
        profile.close()


def until(true: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> float:
    """Let the window live until something is true; the seconds that took."""
    began = time.monotonic()
    while not true():
        if time.monotonic() > began + patience_s:
            raise SystemExit(f"waited in vain: {what}")
        QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)
        time.sleep(0.005)
    return time.monotonic() - began


def ask(session: Session, question: str, patience_s: float = PATIENCE_S) -> None:
    """Type a question, and wait for the end of its answer."""
    session.window.composer.set_text(question)
    session.window.composer.submit()
    until(lambda: session.chat.busy, "the question is sent", patience_s)
    _until_ended(session.chat, patience_s)


def ask_again(session: Session, question: str, during: Callable[[], None] | None = None) -> str:
    """The answer to a question, which is typed the first time and then asked again.

    `during` is called while the answer is written.
    """
    chat = session.chat
    if chat.shown_branch:
        chat.regenerate(chat.shown_branch[-1].id)
    else:
        session.window.composer.set_text(question)
        session.window.composer.submit()
    until(lambda: chat.busy, "the question is sent")
    if during is not None:
        until(lambda: bool(chat.answer and len(chat.answer.content) > 5), "text comes")
        during()
    _until_ended(chat)
    return chat.shown_branch[-1].content


def _until_ended(chat: ChatController, patience_s: float = PATIENCE_S) -> None:
    """However long the answer takes, as long as more of it comes."""

    def ended() -> bool:
        return not chat.busy and chat.shown_branch[-1].state != "streaming"

    def said() -> int:
        return len(chat.answer.content) if chat.answer else -1

    while not ended():
        before = said()
        until(
            lambda before=before: ended() or said() != before,
            "more of the answer, or its end",
            patience_s,
        )
