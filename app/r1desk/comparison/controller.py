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
from r1desk.platform.helper_processes import window_and_helpers_mib
from r1desk.preferences import Preferences
from r1desk.store import ChatMessage, MessageState, Store
from r1desk.store.store_bridge import StoreBridge, report_of


@dataclass(slots=True)
class ColumnAnswer:
    """The answer of a column as far as it has come."""

    column: Candidate
    answer: StreamingAnswer
    loaded: ModelLoaded | None = None
    written: ChatMessage | None = None  # its last event has come; its engine ends
    ended: ChatMessage | None = None


@dataclass(slots=True)
class ShownComparison:
    """A comparison from its first moment until its page is closed."""

    conversation_id: int
    question: str
    columns: list[ColumnAnswer]
    planned: ComparisonPlanned | None = None

    @property
    def running(self) -> bool:
        """Whether columns are being written, or wait for their turn."""
        return any(each.ended is None for each in self.columns)


class ComparisonController(QObject):
    """Runs one comparison at a time; the chat's own model is unloaded, and its answers wait.

    Signals:
        begun: the `ShownComparison`.
        planned: a `ComparisonPlanned`.
        event: a column's number and an event of its engine.
        ended: a column's number and its ChatMessage as it is stored.
        finished: all columns have ended.
    """

    begun = Signal(object)
    planned = Signal(object)
    event = Signal(int, object)
    ended = Signal(int, object)
    finished = Signal()

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
        self._stop_wanted = False  # before the engines are under way
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
        return self.shown is not None and self.shown.running

    def begin(self, question: ComparisonQuestion, columns: Sequence[Candidate]) -> None:
        """Store the question, unless it is, and an empty answer for each column; then ask them."""
        chat = self._chat
        shown, branch = chat.conversation_id, chat.shown_branch
        (sampling, system_prompt), folder_id = chat.new_chat_defaults(), chat.new_chat_folder
        parent = branch[-1].id if branch else None
        if not question.message_id:
            chat.pending_writes.drop_draft(shown)

        def work(store: Store) -> tuple[list[ChatMessage], list[ChatMessage]]:
            with store.transaction():
                key = shown
                if key is None:
                    key = store.conversations.create(
                        sampling=sampling, system_prompt=system_prompt, folder_id=folder_id
                    ).id
                asked = question.message_id
                if not asked:
                    text, files = question.text, question.attachments
                    asked = store.messages.append_user(key, text, parent, files).id
                    store.conversations.save_draft(shown, "")
                    store.attachments.save_drafts(shown, ())
                answers = [store.messages.begin_answer(key, asked, c.name) for c in columns]
                return store.messages.path_to(asked), answers

        def done(stored: tuple[list[ChatMessage], list[ChatMessage]]) -> None:
            before, answers = stored
            question.accepted()
            streams = [StreamingAnswer.of(QueuedAnswer(each)) for each in answers]
            pairs = [ColumnAnswer(*each) for each in zip(columns, streams, strict=True)]
            asked = before[-1]
            self.shown = ShownComparison(asked.conversation_id, asked.content, pairs)
            self._chosen, self._stop_wanted = None, False
            self._chat.hold_answers(True)
            self._save_timer.start()
            self.begun.emit(self.shown)
            chat.open(asked.conversation_id)
            chat.list_changed.emit()
            unload = self._models.unload()
            if unload is None:
                self._ask(before)
            else:
                unload.done.connect(lambda: self._ask(before))
                unload.failed.connect(lambda: self._ask(before))

        self._store.call(work, done, lambda error: chat.failed.emit(report_of(error)))

    def _ask(self, before: Sequence[ChatMessage]) -> None:
        shown = self.shown
        if shown is None:
            return
        pid = self._engine.engine_pid
        self._run = self._engine.compare(
            [prompt_messages(before, "")],
            [each.column for each in shown.columns],
            memory_budget=self.budget_mib,
            window_mib=window_and_helpers_mib() + (meter.process_mib(pid) if pid else 0.0),
        )
        self._run.done.connect(self._on_event)
        self._run.failed.connect(self._on_bug)
        if self._stop_wanted:
            self.stop()

    def stop(self, *columns: int) -> None:
        """End the answers of these columns, or of all; what is there stays."""
        if self._engine.comparison is not None:
            self._engine.comparison.cancel(*columns)
        else:  # the chat's model is being unloaded
            self._stop_wanted = True

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
            self._chat.open(shown.conversation_id, shown.columns[column].answer.message_id)

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
        match event:
            case ComparisonPlanned():
                self.shown.planned = event
                self.planned.emit(event)
            case CandidateEvent(column, _, of_engine):
                of = self.shown.columns[column]
                if isinstance(of_engine, ModelLoaded):
                    of.loaded = of_engine
                of.written = of.answer.take(of_engine) or of.written
                self.event.emit(column, of_engine)
            case CandidateFailed(column, _, report):
                of = self.shown.columns[column]
                of.written = of.written or of.answer.ended(MessageState.FAILED, error=report)
            case CandidateEnded(column):
                self._end(column, self.shown)

    def _end(self, column: int, shown: ShownComparison) -> None:
        """Store a column's answer; one that was stopped before it began has no other event."""
        of = shown.columns[column]
        of.ended = message = of.written or of.answer.ended(MessageState.STOPPED)
        self._chat.pending_writes.finish(message)
        self.ended.emit(column, message)
        if not shown.running:
            self._save_timer.stop()
            self._engine.comparison_ended()
            self._chat.hold_answers(False)
            self.finished.emit()
            if self._chosen is not None:
                self.leave(self._chosen)

    @Slot(object)
    def _on_bug(self, report: ErrorReport) -> None:
        for column, each in enumerate(self.shown.columns if self.shown is not None else ()):
            if each.ended is None:
                self._on_event(CandidateFailed(column, 0, report))
                self._on_event(CandidateEnded(column))

    @Slot()
    def _on_preferences(self) -> None:
        comparison = self._engine.comparison
        if comparison is not None and comparison.memory_budget != self.budget_mib:
            comparison.set_budget(self.budget_mib)

    @Slot(int)
    def _on_conversation_stopped(self, conversation_id: int) -> None:
        if self.shown is not None and self.shown.conversation_id == conversation_id:
            self.stop()
