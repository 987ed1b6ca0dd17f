"""The real application, driven by itself and reporting to whoever started it.

    python -m window.driven_window QUESTION…      # R1DESK_PROFILE says where

Sends each question once the answer before it has ended and prints one JSON line per fact:
`visible` (the window's first picture is on the screen), `ready` (a model is loaded), `engine`
(its process), `sent` (a question that is stored), `text` (length streamed so far), `finished`,
`failed`. The tests kill it, or its engine, at moments of their choice.
"""

from __future__ import annotations

from r1desk.platform import interpreter_setup, plain_imports  # noqa: F401 - first, as in `r1desk`

# isort: split
import json
import sys
import time
from typing import Any

from PySide6.QtCore import QEvent, QObject, QTimer

from deepseek_r1.core.i18n import use_language
from deepseek_r1.core.paths import profile_dir
from r1desk import preferences as prefs
from r1desk.shell.session import Session
from r1desk.shell.startup import create_application
from r1desk.store import Profile, StoreThread


class Driver(QObject):
    """Types the questions and reports what comes back."""

    def __init__(self, session: Session, questions: list[str]) -> None:
        super().__init__()
        self._session = session
        self._questions = questions
        self._lengths: dict[int, int] = {}
        session.engine.heartbeat.connect(self._on_beat)
        session.models.loaded.connect(self._on_loaded)
        session.chat.answer_started.connect(self._on_started)
        session.chat.answer_streamed.connect(self._on_text)
        session.chat.thinking_streamed.connect(self._on_text)
        session.chat.answer_finished.connect(self._on_finished)
        session.chat.failed.connect(lambda report: say("failed", text=report.text()))
        self._engine_pid = 0
        session.window.installEventFilter(self)

    def eventFilter(self, _window: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint and self._session.window.windowHandle().isExposed():
            self._session.window.removeEventFilter(self)
            QTimer.singleShot(0, lambda: say("visible"))  # once the whole picture is painted
        return False

    def _on_beat(self, beat: Any) -> None:
        pid = self._session.engine.engine_pid
        if pid and pid != self._engine_pid:
            self._engine_pid = pid
            say("engine", pid=pid)

    def _on_loaded(self, _loaded: object) -> None:
        say("ready")
        QTimer.singleShot(0, self._ask_next)

    def _ask_next(self) -> None:
        if self._session.chat.busy or not self._questions:
            return
        composer = self._session.window.composer
        composer.set_text(self._questions.pop(0))
        composer.submit()

    def _on_started(self, message_id: int) -> None:
        if message_id not in self._lengths:
            self._lengths[message_id] = 0
            question = self._session.chat.shown_branch[-2]
            say("sent", id=question.id, text=question.content)

    def _on_text(self, message_id: int, text: str) -> None:
        self._lengths[message_id] += len(text)
        say("text", id=message_id, length=self._lengths[message_id])

    def _on_finished(self, message: Any) -> None:
        say(
            "finished",
            id=message.id,
            state=str(message.state),
            text=message.content,
            error=message.error_text,
        )
        QTimer.singleShot(0, self._ask_next)


def say(event: str, **facts: object) -> None:
    """One line for the parent, with the machine-wide monotonic clock."""
    print(json.dumps({"event": event, "t": time.monotonic(), **facts}), flush=True)


def main() -> int:
    """Run until killed or closed."""
    use_language("en")
    stored, damaged = prefs.load(profile_dir())
    stored.welcomed = True  # no card, and no measuring of the memory beside ours
    stored.sampling = stored.sampling.model_copy(update={"max_tokens": 400, "temperature": 0.9})
    app = create_application(sys.argv[:1], stored)
    profile = Profile.open(profile_dir())
    store = StoreThread(profile.database)
    session = Session(profile, store, stored, damaged)
    driver = Driver(session, sys.argv[1:])
    store.start()
    session.show()
    status = app.exec()
    del driver
    session.close()
    store.close()
    profile.close()
    return status


if __name__ == "__main__":
    sys.exit(main())
