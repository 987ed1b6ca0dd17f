"""Stores a message with its empty answer before anything is sent to the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from PySide6.QtCore import QObject, Signal

from deepseek_r1.core.errors import ErrorReport, R1Error
from r1desk.chat.answers.answer_generation import QueuedAnswer
from r1desk.chat.answers.answer_scheduler import AnswerScheduler
from r1desk.chat.answers.pending_writes import PendingWrites, write_answer
from r1desk.store import Attachment, ChatMessage, ConversationSettings, Store
from r1desk.store.store_bridge import StoreBridge, report_of


@dataclass(frozen=True, slots=True)
class _Deferred:
    """An action requested while a message was being stored, and the message that it would send.

    `conversation` is the one that was shown then.
    """

    action: Callable[[], None]
    conversation: int | None
    text: str
    attachments: tuple[Attachment, ...]


class MessageStoring(QObject):
    """One message at a time; what is requested meanwhile is done afterwards. Main thread.

    Signals:
        changed: `active` is another one.
        stored: the key of the conversation before, None for one that is stored just now; its key
            from now on, and its branch. The answer is with the scheduler.
        unsent: text and attachments of the conversation shown that were refused.
        failed: the ErrorReport of the refusal, after all that was `unsent`.
    """

    changed = Signal()
    stored = Signal(object, int, list)
    unsent = Signal(str, tuple)
    failed = Signal(ErrorReport)

    def __init__(
        self,
        store: StoreBridge,
        pending_writes: PendingWrites,
        scheduler: AnswerScheduler,
        model_path: Callable[[], str],
        shown: Callable[[], int | None],
    ) -> None:
        """`model_path` is of the model that answers next, `shown` the conversation shown."""
        super().__init__(scheduler)
        self._store, self._pending_writes, self._scheduler = store, pending_writes, scheduler
        self._model_path, self._shown = model_path, shown
        self._deferred: list[_Deferred] = []
        self.active = False  # a message is being stored: the end of its branch is not known yet

    def defer(
        self, action: Callable[[], None], text: str = "", attachments: tuple[Attachment, ...] = ()
    ) -> None:
        """Do this once the present message is stored; `text` is what it would send."""
        self._deferred.append(_Deferred(action, self._shown(), text, attachments))

    def start(
        self,
        begin: Callable[[Store], QueuedAnswer],
        conversation: int | None,
        text: str = "",
        attachments: tuple[Attachment, ...] = (),
    ) -> None:
        """Let `begin` store a message in a conversation, None for one that is stored just now.

        What it sends is given back where the disk refuses it.
        """
        self.active = True
        self.changed.emit()
        unsaved, model_path = self._pending_writes.unsaved_answers(), self._model_path()

        def work(store: Store) -> tuple[QueuedAnswer, list[ChatMessage], ConversationSettings]:
            for each in unsaved:
                write_answer(store, each)
            with store.transaction():  # one for all: each waits for the disk once, before the model
                answer = begin(store)
                key = answer.message.conversation_id
                stored = store.conversations.settings(key)
                settings = replace(stored, model_path=model_path)
                if settings != stored:
                    store.conversations.save_settings(key, settings)
            return answer, store.messages.path(key), settings

        def done(result: tuple[QueuedAnswer, list[ChatMessage], ConversationSettings]) -> None:
            answer, branch, settings = result
            self._pending_writes.forget_answers(unsaved)
            self.active = False
            # First: the engine reads while the view draws.
            self._scheduler.submit(answer, branch[:-1], settings)
            self.stored.emit(conversation, answer.message.conversation_id, branch)
            self._run_deferred(conversation, answer.message.conversation_id)

        def refused(error: Exception) -> None:
            self.active = False
            self.changed.emit()
            self._give_back(conversation, text, attachments, error)
            self.failed.emit(report_of(error))

        self._store.call(work, done, refused)

    def _run_deferred(self, before: int | None, stored: int) -> None:
        """Do what was requested meanwhile; `before` is the key before the conversation was stored.

        A message for a conversation that the user has left becomes its draft.
        """
        deferred, self._deferred = self._deferred, []
        left: list[tuple[int | None, _Deferred]] = []
        for each in deferred:
            conversation = stored if each.conversation == before else each.conversation
            if conversation == self._shown() or not (each.text or each.attachments):
                each.action()
            else:
                left.append((conversation, each))
        for conversation, each in reversed(left):  # each goes before those that are kept already
            self._pending_writes.keep_draft(conversation, each.text, each.attachments)

    def _give_back(
        self,
        conversation: int | None,
        text: str,
        attachments: tuple[Attachment, ...],
        error: Exception,
    ) -> None:
        """Keep a message that was refused, and those that were to follow it, as drafts."""
        messages = [(conversation, text, attachments)]
        messages += [(each.conversation, each.text, each.attachments) for each in self._deferred]
        self._deferred.clear()
        unsent = [message for message in messages if message[1] or message[2]]
        if unsent and isinstance(error, R1Error):
            self._pending_writes.set_reported(error.report())
        for key, draft, files in reversed(unsent):  # each goes before those that are back already
            self._pending_writes.keep_draft(key, draft, files)
            if key == self._shown():
                self.unsent.emit(draft, files)
