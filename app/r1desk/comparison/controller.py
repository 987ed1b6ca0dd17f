"""One question to several models: stored as versions of one answer, written side by side."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise, takewhile
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from deepseek_r1.core.errors import R1Error
from deepseek_r1.host import comparison as c
from deepseek_r1.host.protocol import EngineState
from deepseek_r1.memory import meter
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.answers.streaming_answer import SAVE_EVERY_MS, QueuedAnswer, StreamingAnswer
from r1desk.chat.context.chat_documents import ChatDocuments
from r1desk.chat.values.prompt import (
    conversation_tokens,
    document_text,
    memory_start,
    prompt_messages,
)
from r1desk.features import Services
from r1desk.models.controller import ModelController
from r1desk.platform.background_thread import ask_in_background, stream_in_background
from r1desk.platform.helper_processes import window_and_helpers_mib
from r1desk.platform.tasks import Later, Tasks, later_turn, task
from r1desk.store import AnswerSources, ChatMessage, MessageState, Store

_UNLOADED_MIB = 84.0  # of the chat's engine without its model, and of the page; measured: 76 and 4


class ComparisonController(QObject):
    """Runs one comparison at a time; the chat's own model is unloaded, and its answers wait."""

    begun = Signal()  # there are other `columns`
    streamed = Signal(int, object)  # the place of a column, and an event of its engine
    ended = Signal(int, object)  # the place of a column, and its whole answer

    def __init__(
        self,
        services: Services,
        chat: ChatController,
        models: ModelController,
        documents: ChatDocuments,
    ) -> None:
        super().__init__()
        self._services, self._engine = services, services.engine
        self.tasks = Tasks(self, chat.report_failure)
        self._chat, self._models, self._documents = chat, models, documents
        self.question: ChatMessage | None = None  # that of the page, until it is closed
        self.planned: c.ComparisonPlanned  # set with the question
        self._candidates: Sequence[c.Candidate] = ()
        self._answers: list[StreamingAnswer] = []
        self._chosen: int | None = None  # the answer that is gone on with once all engines ended
        self._save_timer = QTimer(self, interval=SAVE_EVERY_MS)
        self._save_timer.timeout.connect(self._save)
        models.load_started.connect(self._on_load_started)  # two could exceed the budget
        models.preferences_changed.connect(self._on_preferences)
        chat.conversation_stopped.connect(self._on_conversation_stopped)

    @property
    def busy(self) -> bool:
        """Whether the engine works, or is about to: no comparison can begin beside it."""
        return self._engine_works or self._engine.comparison is not None

    @property
    def _engine_works(self) -> bool:
        generates = self._engine.state is EngineState.GENERATING
        return generates or self._models.loading or self._chat.busy

    def plan(self, candidates: Sequence[c.Candidate]) -> Later[c.ComparisonPlanned]:
        """Ask how these will run."""
        budget_mib = self._services.preferences.load.memory_budget
        others_mib = window_and_helpers_mib() + _UNLOADED_MIB
        return ask_in_background(c.plan, candidates, budget_mib, others_mib)

    def tokens_before(self, question: ChatMessage) -> int:
        """The tokens of the chat that stand before a question, which may be in it already."""
        before = list(takewhile(lambda each: each.id != question.id, self._chat.shown_branch))
        return conversation_tokens(before[memory_start(before) :])

    @property
    def columns(self) -> list[ChatMessage]:
        """The answers as far as they have come."""
        return [each.whole or each.over(each.begun) for each in self._answers]

    @task
    async def begin(
        self, question: ChatMessage, candidates: Sequence[c.Candidate], planned: c.ComparisonPlanned
    ) -> None:
        """Store the question, unless it is, and an empty answer for each column; then ask them.

        All columns are given the same of the chat's documents.
        """
        chat, branch, append = self._chat, self._chat.shown_branch, None
        sources = await self._sources_of(question)
        documents = await ask_in_background(document_text, chat.index, sources, strict=True)
        if not question.id:
            parent = branch[-1].id if branch else None
            append = chat.appending(question.content, parent, question.attachments)

        def work(store: Store) -> tuple[list[ChatMessage], list[ChatMessage]]:
            with store.transaction():
                asked = append(store) if append is not None else question
                key, begin = asked.conversation_id, store.messages.begin_answer
                answers = [begin(key, asked.id, each.name, sources) for each in candidates]
                return store.messages.path_to(asked.id), answers

        chat.answers.hold(True)
        try:
            before, answers = await self._services.store.ask(work)
        except R1Error:
            chat.answers.hold(False)
            raise
        self.question, self.planned, self._candidates = before[-1], planned, candidates
        self._answers = [StreamingAnswer.of(QueuedAnswer(each)) for each in answers]
        prompt = prompt_messages(before, "", sources, documents)
        run = c.Comparison([prompt], candidates, planned, self._engine.command)
        self._engine.set_comparison(run)
        self._save_timer.start()
        self.begun.emit()
        await later_turn(self)
        chat.open_new(before[-1].conversation_id)
        if (unload := self._models.unload()) is not None:
            with suppress(R1Error):
                await unload
        elif self._engine_works:
            self.stop()  # a load has begun meanwhile: together they could exceed the budget
        pid = self._engine.engine_pid  # it may keep more than a process without a model begins with
        run.window_mib = window_and_helpers_mib() + (meter.process_mib(pid) if pid else 0.0)
        with suppress(R1Error):  # of a bug, which is reported
            async for event in stream_in_background(run.events):
                self._on_event(event)
        self._end_run()

    async def _sources_of(self, question: ChatMessage) -> AnswerSources | None:
        """What its answer has been given of the documents; of a new question what is found."""
        for asked, answer in pairwise(self._chat.shown_branch):
            if question.id and asked.id == question.id:
                return answer.sources
        if not self._documents.of_question(question.attachments):
            return None
        return await self._documents.plan(question.content, question.attachments)

    @Slot()
    def _on_load_started(self) -> None:
        self.stop()

    def stop(self, *places: int) -> None:
        """End these answers, or all; what is there stays."""
        if self._engine.comparison is not None:
            self._engine.comparison.cancel(*places)

    def continue_with(self, place: int) -> None:
        """Close the page once all engines have ended: this answer is gone on with, by its model."""
        if not self._answers:  # it is about to be hidden
            return
        self._chosen = place
        if self._engine.comparison is not None:
            self.stop()
            return
        chosen, model = self._candidates[place], Path(self._candidates[place].model)
        self._leave(place)
        if model == self._models.next_path:
            self._models.ensure_loading()
        else:
            settings = self._models.settings_of(model)
            from_disk = settings.swap_enabled or chosen.load.swap_enabled  # else it may not fit
            settings = settings.model_copy(update={"swap_enabled": from_disk})
            self._models.load(model, settings)

    def go_back(self) -> None:
        """Close the page: the first answer is the branch that goes on, with the chat's model."""
        if self._answers:
            self._leave(0)

    def _leave(self, place: int) -> None:
        answer = self._answers[place]
        self.close()
        self._chat.open(answer.conversation_id, answer.message_id)

    def close(self) -> None:
        """End all answers now; their engines end meanwhile."""
        self.stop()
        self._end()
        self.question, self._answers, self._chosen = None, [], None

    def quit(self) -> None:
        """Close the page for good: nobody is left to go on when the engines have ended."""
        self.close()
        self.tasks.cancel_all()

    @Slot()
    def _save(self) -> None:
        for each in self._answers:
            each.save(self._chat.pending_writes)

    @Slot(object)
    def _on_event(self, event: c.RunEvent) -> None:
        """Store an answer with its last event; before it began, `CandidateEnded` is."""
        answer = self._answers[event.candidate] if self._answers else None
        if answer is None or answer.whole is not None:
            return
        match event:
            case c.CandidateEvent(place, _, of_engine):
                whole = answer.take(of_engine)
                self.streamed.emit(place, of_engine)
            case c.CandidateFailed(report=report):
                whole = answer.ended(MessageState.FAILED, error=report)
            case c.CandidateEnded():
                whole = answer.ended(MessageState.STOPPED)
        if whole is not None:
            self._chat.pending_writes.finish(whole)
            self.ended.emit(event.candidate, whole)

    def _end(self) -> None:
        for place in range(len(self._answers)):
            self._on_event(c.CandidateEnded(place))

    def _end_run(self) -> None:
        """All engines have ended; an answer that has not met a bug."""
        self._save_timer.stop()
        self._engine.set_comparison(None)
        self._end()
        if self._chosen is not None:
            self.continue_with(self._chosen)
        self._chat.answers.hold(False)

    @Slot()
    def _on_preferences(self) -> None:
        if self._engine.comparison is not None:
            self._engine.comparison.set_budget(self._services.preferences.load.memory_budget)

    @Slot(int)
    def _on_conversation_stopped(self, conversation_id: int) -> None:
        if self.question is not None and self.question.conversation_id == conversation_id:
            self.stop()
