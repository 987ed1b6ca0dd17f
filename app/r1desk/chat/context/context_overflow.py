"""Works out how a conversation can go on that has filled the context, and does what is chosen."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.events import ModelLoaded
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import Role
from deepseek_r1.core.settings import LoadSettings, answer_reserve
from deepseek_r1.host.protocol import EngineState
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.answers.streaming_answer import QueuedAnswer
from r1desk.chat.context.chat_documents import ChatDocuments
from r1desk.chat.context.context_options import (
    LeftOut,
    SummaryOffer,
    anyway_option,
    fitting_options,
    fitting_settings,
    heading_text,
    leave_out_option,
    longer_context,
    longer_option,
    summary_option,
    summary_request,
    too_long_option,
)
from r1desk.chat.context.loaded_model import MeasuredSpeed, NotCounted, TokenCounter
from r1desk.chat.values.intents import ContextOption, ContextOptions, ContextWay
from r1desk.chat.values.prompt import can_go_on, fills_context, memory_start, prompt_messages
from r1desk.platform.helper_processes import window_and_helpers_mib
from r1desk.platform.tasks import Tasks, newest_task, task
from r1desk.store import ChatMessage, MessageState, Store

LEAST_SUMMARY_TOKENS = 64
MOST_SUMMARY_TOKENS = 512


@dataclass(slots=True)
class _Found:
    """The ways that were worked out for one branch."""

    branch: list[ChatMessage]
    left: LeftOut | None = None
    summary: SummaryOffer | None = None
    settings: LoadSettings | None = None  # with a longer context that fits


class ContextOverflow(QObject):
    """Follows the last message of the conversation shown. Main thread."""

    options_changed = Signal(object)  # ContextOptions, or None where the last answer needs none

    def __init__(
        self,
        chat: ChatController,
        counter: TokenCounter,
        documents: ChatDocuments,
        speed: MeasuredSpeed,
    ) -> None:
        super().__init__()
        self._chat, self._counter, self._engine, self._models = (
            chat,
            counter,
            chat.engine,
            chat.models,
        )
        self._documents, self._speed = documents, speed
        self._summarised: dict[int, ChatMessage] = {}  # questions by the summaries they follow
        self.tasks = Tasks(self)
        self._found: _Found | None = None
        self.options: ContextOptions | None = None
        chat.branch_shown.connect(self.refresh)
        chat.answer_finished.connect(self.refresh)
        chat.busy_changed.connect(self._on_busy_changed)
        chat.pending_writes.saved.connect(self._on_saved)
        chat.engine.state_changed.connect(self._on_engine_state)

    @Slot()
    def refresh(self) -> None:
        """Work out the ways anew: another conversation, answer or model."""
        self.tasks.end(self._work_out)
        self._found = None
        branch = self._chat.shown_branch
        if len(branch) < 2 or not fills_context(branch[-1]) or self._chat.trashed:
            if self.options is not None:
                self._emit(None)
        elif self._counter.available and not self._chat.busy and self._models.current is not None:
            self._work_out(_Found(branch), self._models.current)

    @Slot()
    def _on_busy_changed(self) -> None:
        if not self._chat.busy and self._found is None:
            self.refresh()

    @Slot(object, str)
    def _on_engine_state(self, state: EngineState, _detail: str) -> None:
        """A loaded model can count only after its load."""
        if state is EngineState.IDLE:
            self._on_busy_changed()

    # ---- what is possible

    @newest_task
    async def _work_out(self, found: _Found, model: ModelLoaded) -> None:
        with suppress(NotCounted):
            await self._find_ways(found, model)

    async def _find_ways(self, found: _Found, model: ModelLoaded) -> None:
        sampling, prompt = self._documents.settings
        branch, context = found.branch, model.facts.context_length
        reserve = answer_reserve(context, sampling.max_tokens)
        was_cut = branch[-1].state != "failed"
        stats = branch[-1].stats if was_cut else None
        thought = (
            stats.thinking_tokens if stats is not None else 0
        )  # read again to go on from there
        total = thought + await self._counter.count(prompt_messages(branch, prompt))
        if total + reserve <= context:
            self._found = found
            self._emit(fitting_options(branch[-1].id, total, context, was_cut=was_cut))
            return
        found.left = await self._left_out(branch, prompt, context - thought, reserve)
        found.summary = await self._summary(branch, prompt, context)
        self._found = found
        others = [
            leave_out_option(found.left, total, self._speed),
            summary_option(found.summary, self._speed, has_history=len(branch) > 2),
        ]
        if not was_cut and total < context:
            others.append(anyway_option(total, context))
        heading = heading_text(total, reserve, context, was_cut=was_cut)
        longer = await self._longer(found, model, total + reserve)
        self._emit(ContextOptions(branch[-1].id, heading, (longer, *others)))

    async def _longer(self, found: _Found, model: ModelLoaded, needed: int) -> ContextOption:
        """A context of at least so many tokens, where the model and the memory allow it."""
        if (length := longer_context(model.facts, needed)) is None:
            return too_long_option(model.facts)
        settings = self._models.settings.model_copy(update={"context_length": length})
        path, window_mib = Path(model.facts.path), window_and_helpers_mib()
        bill = self._engine.bills.ask
        try:
            estimate = await bill(path, settings, window_mib, measure_disk=False)
        except R1Error as refused:
            title = tr("Longer context")
            return ContextOption(ContextWay.LONGER, title, str(refused), possible=False)
        found.settings = fitting_settings(estimate, settings)
        return longer_option(estimate, settings, found.settings, model.bill)

    async def _left_out(
        self, branch: Sequence[ChatMessage], prompt: str, context: int, reserve: int
    ) -> LeftOut | None:
        """The earliest later start with half of the context left, else with the reserve left."""
        before = memory_start(branch)
        starts = [i for i in range(before + 1, len(branch)) if not branch[i].is_answer]
        for limit in (min(context // 2, context - reserve), context - reserve):
            found = await self._first_fitting([branch[i:] for i in starts], prompt, limit)
            if found is not None:
                position, tokens = found
                start = starts[position]
                return LeftOut(start, start - before, tokens)
        return None

    async def _summary(
        self, branch: Sequence[ChatMessage], prompt: str, context: int
    ) -> SummaryOffer | None:
        """What can be summarised: an earlier summary and the latest messages that fit with it."""
        most = max(LEAST_SUMMARY_TOKENS, min(MOST_SUMMARY_TOKENS, context // 5))
        history = list(branch[memory_start(branch) : -2])
        if not history or not history[-1].is_answer:
            return None
        earlier = 2 if len(history) > 1 and history[1].memory_start else 0
        request = ChatMessage(0, Role.USER, summary_request())
        starts = [i for i in range(earlier, len(history)) if not history[i].is_answer]
        texts = [[*history[:earlier], *history[i:], request] for i in starts]
        found = await self._first_fitting(texts, prompt, context - most)
        if found is None:
            return None
        position, tokens = found
        not_fitting = history[earlier : starts[position]]
        above = branch[: memory_start(branch)]
        left_out = frozenset(message.id for message in (*above, *not_fitting))
        return SummaryOffer(tokens, most, left_out, len(not_fitting))

    async def _first_fitting(
        self, texts: Sequence[Sequence[ChatMessage]], prompt: str, limit: int
    ) -> tuple[int, int] | None:
        """The first of ever shorter conversations that fits, with its tokens; None if none does."""
        low, high = 0, len(texts)
        found: tuple[int, int] | None = None
        while low < high:
            middle = (low + high) // 2
            tokens = await self._counter.count(prompt_messages(texts[middle], prompt))
            if tokens <= limit:
                found, high = (middle, tokens), middle
            else:
                low = middle + 1
        return found

    def _emit(self, options: ContextOptions | None) -> None:
        self.options = options
        self.options_changed.emit(options)

    # ---- what is chosen

    def choose(self, way: ContextWay) -> None:
        found = self._found
        shown = self._chat.shown_branch
        if found is None or self._chat.busy or not shown or found.branch[-1].id != shown[-1].id:
            return
        match way:
            case ContextWay.FITS:
                self._go_on(found.branch[-1])
            case ContextWay.LONGER if found.settings is not None:
                self._models.apply(found.settings)
                self._go_on(found.branch[-1])
            case ContextWay.LEAVE_OUT if found.left is not None:
                self._go_on(found.branch[-1], found.branch[found.left.start].id)
            case ContextWay.SUMMARY if found.summary is not None:
                self._summarise(found.branch, found.summary)
            case ContextWay.ANYWAY:
                self._chat.regenerate(found.branch[-1].id, fills_context=True)
            case _:
                pass

    def _go_on(self, answer: ChatMessage, memory_start: int | None = None) -> None:
        again = self._chat.continue_answer if can_go_on(answer) else self._chat.regenerate
        again(answer.id, memory_start=memory_start)

    @task
    async def _summarise(self, branch: Sequence[ChatMessage], offer: SummaryOffer) -> None:
        """Have a branch summarised, then ask its last question again.

        The new branch hangs below the last answer: a request for a summary, the summary, and the
        question. The model reads it from the request on; the old branch stays as it is. Where
        there is no summary, the question goes back to the composer.
        """
        question, parent_id = branch[-2], branch[-3].id
        conversation, name = question.conversation_id, self._models.name
        limits = {"max_tokens": offer.most, "thinking_budget": 0}
        sampling, request = self._documents.settings[0].model_copy(update=limits), summary_request()

        def begin(store: Store) -> QueuedAnswer:
            asked = store.messages.append_user(conversation, request, parent_id)
            summary = store.messages.begin_answer(conversation, asked.id, name)
            left_out = offer.left_out
            return QueuedAnswer(summary, left_out=left_out, sampling=sampling, fills_context=True)

        if (summary := await self._chat.answers.add(begin, conversation)) is not None:
            self._summarised[summary.id] = question

    @Slot(object, list)
    def _on_saved(self, finished: ChatMessage, _branch: list[ChatMessage]) -> None:
        question = self._summarised.pop(finished.id, None)
        if question is None:
            return
        name, conversation = self._models.name, finished.conversation_id
        if finished.state is not MessageState.COMPLETE or not finished.content.strip():
            self._chat.give_back(conversation, question.content, question.attachments)
            return

        def begin(store: Store) -> QueuedAnswer:
            store.messages.set_memory_start(finished.id, finished.id)
            asked = store.messages.append_user(
                conversation, question.content, finished.id, question.attachments
            )
            return QueuedAnswer(store.messages.begin_answer(conversation, asked.id, name))

        self.tasks.start(self._chat.answers.add(begin, conversation))
