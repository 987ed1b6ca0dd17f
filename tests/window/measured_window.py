"""The real application in a process of its own, which reports what happens, one JSON line each.

    python -m window.measured_window [--scripted] [--model GGUF]      # R1DESK_PROFILE says where
    python -m window.measured_window --ask QUESTION…

Reads one JSON command a line from its input; `bench_window.py` measures it so.
`--scripted`: tests/host/scripted_engine.py in place of the engine.
`--ask`: sends each question once the answer before it has ended, and reports what is stored of
them (`sent`, `text`, `finished`). `test_kill.py` kills it, or its engine, meanwhile.
"""

from r1desk.platform import interpreter_setup, plain_imports  # noqa: F401 - first, as in `r1desk`

# isort: split
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEvent, QObject, QSocketNotifier, Qt, QTimer, Slot
from PySide6.QtWidgets import QApplication

from deepseek_r1.catalogue.download_spec import RetryPolicy
from deepseek_r1.catalogue.model_file import ModelFile
from deepseek_r1.core import events
from deepseek_r1.core.i18n import use_language
from deepseek_r1.core.paths import profile_dir
from deepseek_r1.core.settings import LoadSettings
from r1desk import preferences as prefs
from r1desk.models.widgets.chooser import HUB, ModelChooser
from r1desk.shell.session import Session
from r1desk.shell.startup import create_application
from r1desk.store import Profile, StoreThread
from window.stall_meter import StallMeter

SCRIPTED = Path(__file__).resolve().parents[1] / "host" / "scripted_engine.py"
BENCH_CONTEXT = 1024


class Heartbeat(QObject):
    """Gaps between the beats of a timer that wants to fire each millisecond."""

    def __init__(self) -> None:
        super().__init__()
        self.gaps_ms: list[float] = []
        self._last = 0.0
        self._timer = QTimer(self, interval=1, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)

    def start(self) -> None:
        """Count from now on."""
        self.gaps_ms = []
        self._last = time.perf_counter()
        self._timer.start()

    def stop(self) -> list[float]:
        """The gaps since the start, the one still open included."""
        self._beat()
        self._timer.stop()
        return self.gaps_ms

    @Slot()
    def _beat(self) -> None:
        now = time.perf_counter()
        self.gaps_ms.append((now - self._last) * 1000)
        self._last = now


class PaintCounter(QObject):
    """Counts the widgets that Qt paints."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint:
            self.count += 1
        return False


class Measured(QObject):
    """Does what it is told and says how that went."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._heart = Heartbeat()
        self._paints = PaintCounter()
        self._asked_at = 0.0
        self._first: tuple[float, int] | None = None
        self._last = (0.0, 0)
        self._bursts = 0
        self._unread = b""
        self._engine_pid = 0
        session.window.installEventFilter(self)
        session.engine.heartbeat.connect(self._on_beat)
        self._input = QSocketNotifier(sys.stdin.fileno(), QSocketNotifier.Type.Read, self)
        self._input.activated.connect(self._on_input)
        session.models.loaded.connect(
            lambda _loaded: say("ready", engine=session.engine.engine_pid)
        )
        session.engine.event_received.connect(self._on_event)
        session.chat.answers.streamed.connect(self._on_streamed)
        session.chat.answer_finished.connect(self._on_finished)
        session.chat.pending_writes.failed.connect(lambda report: say("failed", text=report.text()))
        session.chat.branch_shown.connect(self._on_shown)

    def eventFilter(self, _window: QObject, event: QEvent) -> bool:
        window = self._session.window
        if event.type() == QEvent.Type.Paint and window.windowHandle().isExposed():
            window.removeEventFilter(self)
            QTimer.singleShot(0, lambda: say("visible"))  # once the whole picture is painted
        return False

    def _on_beat(self, _beat: object) -> None:
        pid = self._session.engine.engine_pid
        if pid and pid != self._engine_pid:
            self._engine_pid = pid
            say("engine", pid=pid)

    @Slot()
    def _on_input(self) -> None:
        part = os.read(sys.stdin.fileno(), 65_536)
        if not part:
            self._input.setEnabled(False)
            self._session.window.close()
            return
        *lines, self._unread = (self._unread + part).split(b"\n")
        for line in lines:
            command: dict[str, Any] = json.loads(line)
            getattr(self, "do_" + command.pop("do"))(**command)

    # ---- commands ---------------------------------------------------------------------------

    def do_beat(self) -> None:
        """Count the loop's gaps from now on."""
        self._heart.start()
        say("beating")

    def do_rest(self) -> None:
        """What was counted."""
        say("gaps", gaps_ms=[round(gap, 2) for gap in self._heart.stop()])

    def do_open(self, conversation: int | None) -> None:
        """Show a conversation; `shown` follows."""
        if conversation is None:
            self._session.chat.new_chat()
        else:
            self._session.chat.open(conversation)

    def do_ask(self, text: str, seed: int = 1, max_tokens: int = 128) -> None:
        """Send a question through the composer; `answered` follows."""
        sampling = self._session.preferences.sampling
        self._session.chat_settings.set_sampling(
            sampling.model_copy(update={"seed": seed, "max_tokens": max_tokens})
        )
        self._first, self._bursts = None, 0
        composer = self._session.window.composer
        composer.set_text(text)
        self._asked_at = time.perf_counter()
        composer.submit()

    def do_import(self, path: str) -> None:
        """Import an export; `imported` follows, with the longest stall until some seconds later."""
        archives, meter = self._session.conversations_feature._archives, StallMeter()

        def imported(ids: list[int]) -> None:
            meter.stop()
            stall_ms = round(meter.worst_s * 1000, 1)
            say("imported", conversations=len(ids), longest_stall_ms=stall_ms)

        archives.imported.connect(lambda ids: QTimer.singleShot(3000, lambda: imported(ids)))
        archives.import_file(Path(path))

    def do_watch_paints(self) -> None:
        """Count paint events from now on."""
        QApplication.instance().installEventFilter(self._paints)
        self._paints.count = 0
        say("watching")

    def do_paints(self) -> None:
        """What was counted."""
        QApplication.instance().removeEventFilter(self._paints)
        say("paints", count=self._paints.count)

    def do_open_hub(self) -> None:
        """Open the chooser at the page for repositories; servers on this computer are allowed."""
        self._session.downloads.policy = RetryPolicy(loopback_http=True)
        self._session.downloads.finished.connect(lambda _download: say("pulled"))
        self._session.downloads.changed.connect(self._say_failed)
        self._session.window.models_action.trigger()
        self._show_hub()

    def _show_hub(self) -> None:
        if self._chooser is None:  # the dialog comes in a later turn
            QTimer.singleShot(10, self._show_hub)
            return
        self._chooser.filter.setCurrentIndex(HUB)
        say("opened")

    def _say_failed(self) -> None:
        for download in self._session.downloads.items:
            if download.report is not None:
                say("failed", text=download.report.text())

    def do_list(self, address: str) -> None:
        """List a repository; `listed` follows, a second time with measured speeds."""
        chooser = self._chooser
        chooser.show_listed, chooser.show_hub_note = self._show_listed, self._show_hub_note
        chooser.name.setText(address)
        chooser.list_button.click()

    def _show_listed(self, files: Sequence[ModelFile], wanted: str, note: str) -> None:
        ModelChooser.show_listed(self._chooser, files, wanted, note)
        QTimer.singleShot(0, lambda: say("listed", models=len(files)))

    def _show_hub_note(self, text: str, role: str = "dim") -> None:
        ModelChooser.show_hub_note(self._chooser, text, role)
        if role == "danger":
            QTimer.singleShot(0, lambda: say("failed", text=text))

    def do_pull(self) -> None:
        """Download the selected file; `pulled` follows."""
        self._chooser.pane.button.click()

    def do_modules(self, names: list[str]) -> None:
        """Which of these modules are loaded."""
        say("modules", loaded=[name for name in names if name in sys.modules])

    @property
    def _chooser(self) -> ModelChooser:
        return self._session.window.findChild(ModelChooser)

    # ---- facts ------------------------------------------------------------------------------

    @Slot(object, list)
    def _on_shown(self, conversation: int | None, branch: list[object]) -> None:
        say("shown", conversation=conversation, messages=len(branch))

    @Slot(int, object)
    def _on_event(self, event: events.Event) -> None:
        if isinstance(event, events.AnswerDelta | events.ThinkingDelta):
            self._last = (time.perf_counter(), event.completion_tokens)
            self._first = self._first or self._last

    @Slot(int, object)
    def _on_streamed(self, _message: int, event: Any) -> None:
        self._bursts += event.kind == "answer_delta"

    @Slot(object)
    def _on_finished(self, message: Any) -> None:
        ended = time.perf_counter()
        first = self._first or (ended, 0)
        stats = message.stats.model_dump(mode="json") if message.stats else {}
        say(
            "answered",
            state=str(message.state),
            first_s=first[0] - self._asked_at,
            first_tokens=first[1],
            stream_s=self._last[0] - first[0],
            stream_tokens=self._last[1] - first[1],
            whole_s=ended - self._asked_at,
            bursts=self._bursts,
            characters=len(message.content),
            stats=stats,
        )


class Asker(QObject):
    """Sends the questions one after the other, and reports what is stored of them."""

    def __init__(self, session: Session, questions: list[str]) -> None:
        super().__init__()
        self._session, self._questions = session, questions
        self._lengths: dict[int, int] = {}
        session.models.loaded.connect(self._ask_soon)
        session.chat.branch_shown.connect(self._on_shown)
        session.chat.answers.streamed.connect(self._on_text)
        session.chat.answer_finished.connect(self._on_finished)

    def _ask_soon(self, _cause: object) -> None:
        QTimer.singleShot(0, self._ask_next)

    def _ask_next(self) -> None:
        if self._questions and not self._session.chat.busy:
            composer = self._session.window.composer
            composer.set_text(self._questions.pop(0))
            composer.submit()

    def _on_shown(self, _conversation: int | None, branch: list[Any]) -> None:
        answer = self._session.chat.answer
        if answer is not None and answer.message_id not in self._lengths:
            self._lengths[answer.message_id] = 0
            question = branch[-2]
            say("sent", id=question.id, text=question.content)

    def _on_text(self, message_id: int, event: Any) -> None:
        self._lengths[message_id] += len(getattr(event, "text", ""))
        say("text", id=message_id, length=self._lengths[message_id])

    def _on_finished(self, message: Any) -> None:
        state, error = str(message.state), message.error_text
        say("finished", id=message.id, state=state, text=message.content, error=error)
        self._ask_soon(message)


def say(event: str, **facts: object) -> None:
    """One line for the parent, with the machine-wide monotonic clock."""
    print(json.dumps({"event": event, "t": time.monotonic(), **facts}), flush=True)


def main() -> int:
    """Run until the input ends."""
    use_language("en")
    stored, damaged = prefs.load(profile_dir())
    stored.welcomed = True  # no card, and no measuring of the memory beside ours
    stored.load = LoadSettings(context_length=BENCH_CONTEXT)
    if "--ask" in sys.argv:
        stored.load = LoadSettings()
        stored.sampling = stored.sampling.model_copy(update={"max_tokens": 400, "temperature": 0.9})
    if "--scripted" in sys.argv:
        stored.model_path = "wait=0"  # what the scripted engine does to load
    elif "--model" in sys.argv:
        stored.model_path = sys.argv[sys.argv.index("--model") + 1]
    app = create_application(sys.argv[:1], stored)
    profile = Profile.open(profile_dir())
    store = StoreThread(profile.database)
    command = [sys.executable, str(SCRIPTED)] if "--scripted" in sys.argv else None
    session = Session(profile, store, stored, damaged, command)
    measured = Measured(session)
    questions = sys.argv[sys.argv.index("--ask") + 1 :] if "--ask" in sys.argv else []
    asker = Asker(session, questions) if questions else None
    session.show()
    status = app.exec()
    del measured, asker
    session.close()
    store.close()
    profile.close()
    return status


if __name__ == "__main__":
    sys.exit(main())
