"""One question to several models: stored as versions of one answer, written side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.events import ModelLoaded
from deepseek_r1.host.comparison import (
    Candidate,
    CandidateEnded,
    CandidateEvent,
    CandidateFailed,
    Comparison,
    ComparisonEvent,
    ComparisonPlanned,
)
from deepseek_r1.memory import meter
from r1desk.chat.answers.answer_generation import SAVE_EVERY_MS, QueuedAnswer, StreamingAnswer
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.values.intents import ComparisonQuestion
from r1desk.chat.values.prompt import prompt_messages
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.models.controller import ModelController
from r1desk.platform.background_thread import stream_in_background
from r1desk.platform.helper_processes import window_and_helpers_mib
from r1desk.preferences import Preferences
from r1desk.store import ChatMessage, MessageState, Store
from r1desk.store.store_bridge import StoreBridge, report_of


@dataclass(slots=True)
class Column:
    """The answer of a candidate as far as it has come."""

    candidate: Candidate
    answer: StreamingAnswer
    loaded: ModelLoaded | None = None
    ended: ChatMessage | None = None  # complete; its engine may still be ending
    is_over: bool = False  # its engine has ended


@dataclass(slots=True)
class ShownComparison:
    """A comparison from its first moment until its page is closed."""

    question: ChatMessage
    columns: list[Column]
    run: Comparison


class ComparisonController(QObject):
    """Runs one comparison at a time; the chat's own model is unloaded, and its answers wait.

    Signals:
        begun: the `ShownComparison`.
        event: a `ComparisonEvent`, which it has by now.
    """

    begun = Signal(object)
    event = Signal(object)

    def __init__(
        self,
        engine: EngineBridge,
        store: StoreBridge,
        chat: ChatController,
        models: ModelController,
        preferences: Preferences,
    ) -> None:
        super().__init__()
        self._engine, self._store, self._chat = engine, store, chat
        self._models, self._preferences = models, preferences
        self.shown: ShownComparison | None = None
        self._chosen: int | None = None  # the column to go on with, once all have ended
        self._save_timer = QTimer(self, interval=SAVE_EVERY_MS)
        self._save_timer.timeout.connect(self.save)
        models.load_started.connect(lambda _path: self.stop())  # two could exceed the budget
        models.preferences_changed.connect(self._on_preferences)
        chat.conversation_stopped.connect(self._on_conversation_stopped)

    @property
    def budget_mib(self) -> int:
        """The memory budget."""
        return self._preferences.load.memory_budget

    @property
    def running(self) -> bool:
        """Whether columns are being written, or wait for their turn."""
        return self.shown is not None and not all(each.is_over for each in self.shown.columns)

    @Slot(object, list)
    def begin(self, question: ComparisonQuestion, candidates: Sequence[Candidate]) -> None:
        """Store the question, unless it is, and an empty answer for each column; then ask them."""
        chat, branch = self._chat, self._chat.shown_branch
        append = None
        if not question.message_id:
            parent = branch[-1].id if branch else None
            append = chat.appending(question.text, parent, question.attachments)

        def work(store: Store) -> tuple[list[ChatMessage], list[ChatMessage]]:
            with store.transaction():
                asked = append(store).id if append is not None else question.message_id
                before = store.messages.path_to(asked)
                key, begin = before[-1].conversation_id, store.messages.begin_answer
                return before, [begin(key, asked, each.name) for each in candidates]

        def done(stored: tuple[list[ChatMessage], list[ChatMessage]]) -> None:
            before, answers = stored
            question.accepted()
            streams = [StreamingAnswer.of(QueuedAnswer(each)) for each in answers]
            columns = [Column(*each) for each in zip(candidates, streams, strict=True)]
            asked = [prompt_messages(before, "")]
            run = self._engine.compare(asked, candidates, memory_budget=self.budget_mib)
            self.shown = ShownComparison(before[-1], columns, run)
            self._chosen = None
            chat.hold_answers(True)
            self._save_timer.start()
            self.begun.emit(self.shown)
            chat.open(before[-1].conversation_id)
            chat.list_changed.emit()
            unload = self._models.unload()
            for freed in (unload.done, unload.failed) if unload is not None else ():
                freed.connect(self._ask)
            if unload is None:
                self._ask()

        self._store.call(work, done, lambda error: chat.failed.emit(report_of(error)))

    @Slot()
    def _ask(self) -> None:
        if self.shown is None:
            return
        pid, run = self._engine.engine_pid, self.shown.run
        run.window_mib = window_and_helpers_mib() + (meter.process_mib(pid) if pid else 0.0)
        self._events = stream_in_background(run.events)
        self._events.done.connect(self._on_event)
        self._events.failed.connect(self._on_bug)

    def stop(self, *columns: int) -> None:
        """End the answers of these columns, or of all; what is there stays."""
        if self.shown is not None:
            self.shown.run.cancel(*columns)

    def press(self, column: int) -> None:
        """Stop this column, or go on with its answer, which has ended."""
        if self.shown is not None and self.shown.columns[column].ended is None:
            self.stop(column)
        else:
            self.leave(column)

    def leave(self, column: int) -> None:
        """Close the comparison, once all have ended; this answer is the branch that goes on."""
        if self.running:
            self._chosen = column
            self.stop()
            return
        shown, self.shown = self.shown, None
        if shown is not None:
            chosen = shown.columns[column].answer
            self._chat.open(chosen.conversation_id, chosen.message_id)

    @Slot()
    def save(self) -> None:
        """Save what there is of the answers."""
        for each in self.shown.columns if self.shown is not None else ():
            if each.ended is None:
                each.answer.save(self._chat.pending_writes)

    def close(self) -> None:
        """Save what there is for the last time; the next start counts such answers as stopped."""
        self.save()
        self._save_timer.stop()
        self.shown = None

    # ---- the engines' events ------------------------------------------------------------------

    @Slot(object)
    def _on_event(self, event: ComparisonEvent) -> None:
        if self.shown is None:
            return
        if not isinstance(event, ComparisonPlanned):
            self._take(event, self.shown.columns[event.candidate])
        self.event.emit(event)
        if not self.running:
            self._finish()

    def _take(self, event: ComparisonEvent, column: Column) -> None:
        """Store a column's answer with its last event; before it began, `CandidateEnded` is."""
        ended = None
        match event:
            case CandidateEvent(event=of_engine):
                if isinstance(of_engine, ModelLoaded):
                    column.loaded = of_engine
                ended = column.answer.take(of_engine)
            case CandidateFailed(report=report):
                ended = column.answer.ended(MessageState.FAILED, error=report)
            case CandidateEnded():
                column.is_over = True
                ended = column.answer.ended(MessageState.STOPPED)
        if ended is not None and column.ended is None:
            column.ended = ended
            self._chat.pending_writes.finish(ended)

    def _finish(self) -> None:
        self._save_timer.stop()
        self._engine.comparison_ended()
        self._chat.hold_answers(False)
        if self._chosen is not None:
            self.leave(self._chosen)

    @Slot(object)
    def _on_bug(self, report: ErrorReport) -> None:
        for place, column in enumerate(self.shown.columns if self.shown is not None else ()):
            if not column.is_over:
                self._on_event(CandidateFailed(place, 0, report))
                self._on_event(CandidateEnded(place))

    @Slot()
    def _on_preferences(self) -> None:
        if self.shown is not None and self.shown.run.memory_budget != self.budget_mib:
            self.shown.run.set_budget(self.budget_mib)

    @Slot(int)
    def _on_conversation_stopped(self, conversation_id: int) -> None:
        if self.shown is not None and self.shown.question.conversation_id == conversation_id:
            self.stop()
