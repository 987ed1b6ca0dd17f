"""Finished answers and drafts that are not on disk yet; refused writes are tried again."""

from dataclasses import replace
from typing import Any, TypeVar, cast

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from deepseek_r1.core import log
from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.events import GenerationStats
from r1desk.platform.tasks import Tasks, report_of, task
from r1desk.store import Attachment, ChatMessage, Store, StoreWork
from r1desk.store.store_bridge import StoreBridge

Draft = str | tuple[Attachment, ...]  # what is typed, or the files that go with it
AnyDraft = TypeVar("AnyDraft", bound=Draft)
Result = TypeVar("Result")
RETRY_MS = 5000


def write_answer(store: Store, answer: ChatMessage) -> list[ChatMessage]:
    """Store the end of an answer and return its branch; none where the answer was deleted.

    Harmless when done twice.
    """
    try:
        store.messages.finish_answer(
            answer.id,
            answer.content,
            answer.thinking,
            answer.thinking_s,
            answer.stats,
            answer.state,
            answer.error,
            answer.sources,
        )
    except LookupError:
        return []
    return store.messages.path(answer.conversation_id)


def _joined(unsent: Draft, since: Draft) -> Draft:
    """What was not sent before what was written since, which may be still the same."""
    if not since or since == unsent:
        return unsent
    if isinstance(unsent, str) and isinstance(since, str):
        return f"{unsent}\n\n{since}"
    return (*unsent, *since)


class PendingWrites(QObject):
    """Saves; where the disk refuses, keeps the text in memory and tries again every few seconds.

    A refusal is reported once, and again only after something could be saved.
    """

    saved = Signal(object, list)  # ChatMessage, its branch as stored
    kept = Signal(object)  # ChatMessage, which is only in memory
    failed = Signal(ErrorReport)
    recovered = Signal()  # after a failure, all is saved

    def __init__(self, store: StoreBridge) -> None:
        super().__init__()
        self._store = store
        self.tasks = Tasks(self, self.report_failure)
        self._unsaved_answers: dict[int, ChatMessage] = {}  # by message
        self._drafts: dict[tuple[int | None, type], Draft] = {}  # by conversation and kind
        self._reported_code = ""
        self._closed = False
        self._retry = QTimer(self, singleShot=True, interval=RETRY_MS)
        self._retry.timeout.connect(self._try_again)

    # ---- answers ----------------------------------------------------------------------------

    def finish(self, finished: ChatMessage) -> None:
        """Store the end of an answer; `saved` or `kept` follows."""
        self._unsaved_answers[finished.id] = finished
        self._write(finished, first=True)

    @task
    async def _write(self, finished: ChatMessage, *, first: bool = False) -> None:
        try:
            branch = await self._store.ask(write_answer, finished)
        except Exception:
            if first:
                self.kept.emit(finished)
            raise
        self._unsaved_answers.pop(finished.id, None)
        self.saved.emit(finished, branch)
        self.check_recovered()

    async def store_after(self, work: StoreWork[Result]) -> Result:
        """Do `work`, which builds upon the answers, once those that are only here are stored."""
        unsaved = tuple(self._unsaved_answers.values())

        def write_first(store: Store) -> Result:
            for finished in unsaved:
                write_answer(store, finished)
            return work(store)

        result = await self._store.ask(write_first)
        for finished in unsaved:
            self._unsaved_answers.pop(finished.id, None)
        self.check_recovered()
        return result

    def shown(self, stored: ChatMessage) -> ChatMessage:
        """A stored message with the end that is not on disk yet."""
        finished = self._unsaved_answers.get(stored.id)
        if finished is None:
            return stored
        index, count = stored.sibling_index, stored.sibling_count
        return replace(finished, sibling_index=index, sibling_count=count)

    @task
    async def save_progress(
        self, message_id: int, content: str, thinking: str, stats: GenerationStats | None
    ) -> None:
        """Store what there is of an answer; the next state makes up for one that is refused."""
        await self._store.ask(
            lambda store: store.messages.save_progress(message_id, content, thinking, stats)
        )

    # ---- drafts -----------------------------------------------------------------------------

    @task
    async def save_draft(self, conversation_id: int | None, draft: Draft) -> None:
        """Keep what is typed and not sent, or its files. In view-only mode in memory only."""
        key = conversation_id, type(draft)
        self._drafts[key] = draft

        def work(store: Store) -> bool:
            if store.writable and isinstance(draft, str):
                store.conversations.save_draft(conversation_id, draft)
            elif store.writable:
                store.attachments.save_drafts(conversation_id, draft)
            return store.writable

        if await self._store.ask(work):
            if self._drafts.get(key) is draft:  # else it has changed since
                del self._drafts[key]
            self.check_recovered()

    @task
    async def keep_unsent(
        self, conversation_id: int | None, text: str, attachments: tuple[Attachment, ...]
    ) -> None:
        """Keep a message that was not sent as the draft, before what was written since."""
        drafts: list[Draft] = [text, attachments]
        for unsent in [draft for draft in drafts if draft]:
            empty: Draft = "" if isinstance(unsent, str) else ()
            since = self._drafts.get((conversation_id, type(unsent)), empty)
            self._drafts[conversation_id, type(unsent)] = _joined(unsent, since)
        self._retry.start()
        stored = await self._store.ask(
            lambda store: (
                store.conversations.draft(conversation_id),
                store.attachments.drafts(conversation_id),
            )
        )
        kept: list[Draft] = [*stored]
        for unsent, since in zip(drafts, kept, strict=True):
            key = conversation_id, type(unsent)
            if self._drafts.get(key) is unsent:  # else it is before something newer
                self._drafts[key] = _joined(unsent, since)

    def draft(self, conversation_id: int | None, stored: AnyDraft) -> AnyDraft:
        """The newest draft of a conversation, of the kind of the `stored` one."""
        newest: Any = self._drafts.get((conversation_id, type(stored)), stored)
        return cast(AnyDraft, newest)

    def move_draft_of_new_chat(self, conversation_id: int) -> None:
        """Keep what was written while the new chat was being stored as the draft of it."""
        for empty in ("", ()):
            if draft := self.draft(None, empty):
                self.save_draft(conversation_id, draft)
                self.save_draft(None, empty)

    def drop_draft(self, conversation_id: int | None) -> None:
        self._drafts.pop((conversation_id, str), None)
        self._drafts.pop((conversation_id, tuple), None)

    # ---- refusals ---------------------------------------------------------------------------

    def report_failure(self, error: Exception) -> None:
        """Report a refusal once, and try again later. Raises anything that is not an R1Error."""
        report = report_of(error)
        if self._closed:
            name = type(error).__name__
            log.window.error("not saved before the end: %s", name)  # there is no later
            return
        self._retry.start()
        if report.code != self._reported_code:
            self._reported_code = report.code
            self.failed.emit(report)

    def report_refused(self, report: ErrorReport, *, kept: bool) -> None:
        """Report a refusal; of a message that is `kept` as a draft, whose retries stay silent."""
        if kept:
            self._reported_code = report.code
        self.failed.emit(report)

    def check_recovered(self) -> None:
        """Report the recovery once nothing is left to save."""
        if self._reported_code and not self._unsaved_answers and not self._drafts:
            self._reported_code = ""
            self.recovered.emit()

    @Slot()
    def _try_again(self) -> None:
        for finished in tuple(self._unsaved_answers.values()):
            self._write(finished)
        for (conversation_id, _), draft in tuple(self._drafts.items()):
            self.save_draft(conversation_id, draft)

    @property
    def waiting(self) -> bool:
        """True while something would be lost with this process."""
        return bool(self._unsaved_answers or (self._reported_code and self._drafts))

    def close(self) -> None:
        self._closed = True
        self._retry.stop()
        self._try_again()
