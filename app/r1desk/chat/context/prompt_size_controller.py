"""Measures the conversation on the screen and the message being written."""

from contextlib import suppress

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import answer_reserve
from deepseek_r1.documents.document_prompt import whole_documents
from deepseek_r1.documents.passages import estimated_tokens
from deepseek_r1.host.protocol import EngineState, Heartbeat
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.context.chat_documents import ChatDocuments
from r1desk.chat.context.loaded_model import NotCounted, TokenCounter
from r1desk.chat.values.prompt import (
    PromptSize,
    conversation_tokens,
    memory_start,
    prompt_messages,
    tokens_of,
    with_attachments,
)
from r1desk.features import AnsweringModel
from r1desk.platform.tasks import Tasks, task
from r1desk.store import AnswerSources, Attachment

DELAY_MS = 300
_LEAST_LEARNT = 200  # tokens, from which others are estimated


class PromptSizeController(QObject):
    """Follows the text that is typed and the conversation shown. Main thread.

    While an answer is written here the engine counts; while another chat is answered, the last
    numbers have to do.
    """

    changed = Signal(object)  # PromptSize, or None without a model

    def __init__(
        self,
        chat: ChatController,
        counter: TokenCounter,
        models: AnsweringModel,
        documents: ChatDocuments,
    ) -> None:
        super().__init__()
        self._chat, self._counter, self._models, self._documents = chat, counter, models, documents
        self.tasks = Tasks(self)
        self._text = ""
        self._attachments: tuple[Attachment, ...] = ()
        self._history: int | None = None  # tokens of the conversation shown
        self._counted: tuple[str, tuple[Attachment, ...]] | None = None
        self._counted_tokens, self._ratio = 0, 1.0  # of that; of counted tokens to estimated ones
        self._run = 0  # counts the countings, to tell which are outdated
        self._is_counting = False
        self._is_outdated = False  # the text or the conversation has changed during a count
        self.size: PromptSize | None = None
        self._delay = QTimer(self, singleShot=True, interval=DELAY_MS)
        self._delay.timeout.connect(self._count)
        chat.branch_shown.connect(self.refresh)
        chat.answer_finished.connect(self.refresh)
        chat.busy_changed.connect(self._on_busy_changed)
        counter.engine.heartbeat.connect(self._on_beat)

    def set_message(self, text: str, attachments: tuple[Attachment, ...] = ()) -> None:
        """The message in the composer is another one; counted once typing pauses."""
        if text == self._text and attachments == self._attachments:
            return
        self._text, self._attachments = text, attachments
        if self._history is not None or self.size is not None:
            self._show(self._estimated_tokens(), exact=False)
        self._delay.start()

    @property
    def _is_empty(self) -> bool:
        return not self._text.strip() and not self._attachments

    def _estimated_tokens(self) -> int:
        """Runs at each key: what is known of the files is not estimated again."""
        if (self._text, self._attachments) == self._counted:
            return self._counted_tokens
        files = sum(tokens_of(each) for each in self._attachments if not each.sha256)
        return round(estimated_tokens(self._text) * self._ratio) + files

    def _whole(self, free: int) -> tuple[tuple[str, ...], int]:
        """The documents that are read whole, and the tokens of those not in the history.

        `free` is what the context has beside the history and the message.
        """
        branch, files = self._chat.shown_branch, (*self._documents.shown, *self._attachments)
        sources = branch[-1].sources if branch else None
        read = sources.documents if sources is not None else ()
        tokens = {d.sha256: tokens_of(d) for d in files if d.sha256}
        free += sum(tokens.get(each, 0) for each in read)
        whole = whole_documents(tokens, {d.sha256 for d in files if d.searched}, free)
        return whole, sum(tokens[each] for each in whole if each not in read)

    @Slot()
    def refresh(self) -> None:
        """Measure anew: another conversation, model or setting."""
        self._history = self._counted = None
        self._run += 1
        self._delay.start()

    @Slot()
    def _on_busy_changed(self) -> None:
        if self._chat.busy:
            self._run += 1
            self._history = None
            self._show_estimate()
        else:
            self._delay.start()

    @Slot(object)
    def _on_beat(self, beat: Heartbeat) -> None:
        writes_here = self._chat.busy_here and self._counter.engine.state is EngineState.GENERATING
        if writes_here and beat.context_used > self._estimated_history():  # else it still reads
            self._history = beat.context_used
            self._show_estimate()

    @Slot()
    def _count(self) -> None:
        if self._chat.busy or not self._counter.available:
            self._show_estimate()
            return
        if self._is_counting:  # one count at a time: it may have to wait for a preparation
            self._is_outdated = True
            return
        self._run += 1
        self._is_counting, self._is_outdated = True, False
        if self._chat.preparing:  # the count waits for it
            self._show_estimate()
        self._count_exactly(self._run)

    @task
    async def _count_exactly(self, run: int) -> None:
        count = self._counter.count
        searched = AnswerSources() if self._documents.shown else None  # the next has its own
        instructions = self._documents.settings[1]
        before = prompt_messages(self._chat.shown_branch, instructions, searched)
        is_empty, text = self._is_empty, with_attachments(self._text, self._attachments)
        history, tokens, asked = self._history, 0, (self._text, self._attachments)
        with suppress(NotCounted):
            if history is None:
                history = await count(before) if before else 0
            if not is_empty:
                message = Message(role=Role.USER, content=text)
                tokens = max(0, await count((*before, message)) - history)
                self._learn(asked, tokens)
            if run == self._run:
                self._history = history
                self._show(tokens)
        self._is_counting = False
        if self._is_outdated:
            self._delay.start()

    def _learn(self, counted: tuple[str, tuple[Attachment, ...]], tokens: int) -> None:
        """A text that was counted is not estimated again, and others are nearer."""
        self._counted, self._counted_tokens = counted, tokens
        estimate = estimated_tokens(counted[0])
        if estimate >= _LEAST_LEARNT and not counted[1]:
            self._ratio = min(max(tokens / estimate, 0.5), 2.0)

    def _estimated_history(self) -> int:
        branch = self._chat.shown_branch
        return conversation_tokens(branch[memory_start(branch) :]) if branch else 0

    def _show_estimate(self) -> None:
        tokens = 0 if self._is_empty else self._estimated_tokens()
        self._show(tokens, exact=self._is_empty)

    def _show(self, text: int, *, exact: bool = True) -> None:
        facts = self._models.facts
        history = self._estimated_history() if self._history is None else self._history
        size = None
        if facts is not None:
            context, known = facts.context_length, self._history is not None or not history
            reserve = answer_reserve(context, self._documents.settings[0].max_tokens)
            whole, documents = self._whole(context - reserve - text - history)
            if not self._is_empty:
                text += documents
            size = PromptSize(text, history, reserve, context, exact, known, whole)
        if size != self.size:
            self.size = size
            self.changed.emit(size)
