"""The real application, driven by itself and reporting to whoever started it.

    python -m window.driven_window QUESTION…      # R1DESK_PROFILE says where

Sends each question once the answer before it has ended and prints one JSON line per fact:
`visible` (the window's first picture is on the screen), `ready` (a model is loaded), `engine`
(its process), `sent` (a question that is stored), `text` (length streamed so far), `finished`,
`failed`. The tests kill it, or its engine, at moments of their choice.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from PySide6.QtCore import QEvent, QObject, QTimer

from deepseek_r1.core.paths import profile_dir
from deepseek_r1.core.words import use_language
from r1desk import preferences as prefs
from r1desk.application import create_application
from r1desk.desk import Desk
from r1desk.store import Profile, StoreThread


class Driver(QObject):
    """Types the questions and reports what comes back."""

    def __init__(self, desk: Desk, questions: list[str]) -> None:
        super().__init__()
        self._desk = desk
        self._questions = questions
        self._lengths: dict[int, int] = {}
        desk.engine.beat.connect(self._on_beat)
        desk.models.loaded.connect(self._on_loaded)
        desk.chat.answer_started.connect(self._on_started)
        desk.chat.answer_streamed.connect(self._on_text)
        desk.chat.thinking_streamed.connect(self._on_text)
        desk.chat.answer_finished.connect(self._on_finished)
        desk.chat.failed.connect(lambda report: say("failed", text=report.text()))
        self._engine_pid = 0
        desk.window.installEventFilter(self)

    def eventFilter(self, _window: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint and self._desk.window.windowHandle().isExposed():
            self._desk.window.removeEventFilter(self)
            QTimer.singleShot(0, lambda: say("visible"))  # once the whole picture is painted
        return False

    def _on_beat(self, beat: Any) -> None:
        pid = self._desk.engine.engine_pid
        if pid and pid != self._engine_pid:
            self._engine_pid = pid
            say("engine", pid=pid)

    def _on_loaded(self, _loaded: object) -> None:
        say("ready")
        QTimer.singleShot(0, self._ask_next)

    def _ask_next(self) -> None:
        if self._desk.chat.busy or not self._questions:
            return
        composer = self._desk.window.composer
        composer.set_text(self._questions.pop(0))
        composer.submit()

    def _on_started(self, message_id: int) -> None:
        if message_id not in self._lengths:
            self._lengths[message_id] = 0
            question = self._desk.chat.shown_branch[-2]
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
    desk = Desk(profile, store, stored, damaged)
    driver = Driver(desk, sys.argv[1:])
    store.start()
    desk.show()
    status = app.exec()
    del driver
    desk.close()
    store.close()
    profile.close()
    return status


if __name__ == "__main__":
    sys.exit(main())
