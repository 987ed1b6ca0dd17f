"""What the disk would not take yet: ends of answers and drafts, kept here and tried again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from deepseek_r1.core import log
from deepseek_r1.core.errors import ErrorReport, R1Error
from deepseek_r1.core.events import GenerationStats
from r1desk.bridge import StoreBridge
from r1desk.chat.values import ShownMessage
from r1desk.shown import load_branch
from r1desk.store import MessageState, Store

RETRY_MS = 5000


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of an answer, as it is to be stored."""

    conversation_id: int
    message_id: int
    content: str
    thinking: str
    thinking_s: float
    stats: GenerationStats | None
    state: MessageState
    error: ErrorReport | None

    def write(self, store: Store) -> None:
        """Store it; harmless when done twice."""
        store.finish_answer(
            self.message_id,
            self.content,
            self.thinking,
            self.thinking_s,
            self.stats,
            self.state,
            self.error,
        )

    def over(self, stored: ShownMessage) -> ShownMessage:
        """The message as it will be, in place of what is on disk."""
        return replace(
            stored,
            content=self.content,
            thinking=self.thinking,
            thinking_s=self.thinking_s,
            stats=self.stats,
            state=self.state,
            error_text=self.error.text() if self.error else "",
        )


class Unsaved(QObject):
    """Saves, and where the disk refuses, keeps the text and tries again every few seconds.

    A refusal is told once; what follows it is not repeated until something could be saved.
    """

    saved = Signal(object, list)  # Ending, its branch as stored
    kept = Signal(object)  # Ending, which is only in memory
    failed = Signal(ErrorReport)
    recovered = Signal()  # after a failure, all is saved

    def __init__(self, store: StoreBridge) -> None:
        super().__init__()
        self._store = store
        self._endings: dict[int, Ending] = {}  # by message
        self._drafts: dict[int | None, str] = {}  # by conversation
        self._told = ""
        self._closed = False
        self._retry = QTimer(self, singleShot=True, interval=RETRY_MS)
        self._retry.timeout.connect(self._try_again)

    # ---- answers ----------------------------------------------------------------------------

    def finish(self, ending: Ending) -> None:
        """Store the end of an answer; `saved` or `kept` follows."""
        self._endings[ending.message_id] = ending
        self._write(ending, first=True)

    def _write(self, ending: Ending, *, first: bool = False) -> None:
        def work(store: Store) -> list[ShownMessage]:
            ending.write(store)
            return load_branch(store, ending.conversation_id)

        def done(branch: list[ShownMessage]) -> None:
            self._endings.pop(ending.message_id, None)
            self.saved.emit(ending, branch)
            self.all_well()

        def refused(error: Exception) -> None:
            if first:
                self.kept.emit(ending)
            self.tell(error)

        self._store.call(work, done, refused)

    def endings(self) -> tuple[Ending, ...]:
        """What must be stored before anything is built upon it."""
        return tuple(self._endings.values())

    def settled(self, endings: tuple[Ending, ...]) -> None:
        """Somebody else has stored these."""
        for ending in endings:
            self._endings.pop(ending.message_id, None)
        self.all_well()

    def shown(self, stored: ShownMessage) -> ShownMessage:
        """A message as the user knows it, whatever the disk has of it."""
        ending = self._endings.get(stored.id)
        return ending.over(stored) if ending is not None else stored

    def save_progress(self, message_id: int, content: str, thinking: str) -> None:
        """Store what there is of an answer; the next state makes up for one that is refused."""
        self._store.save_progress(message_id, content, thinking, self.tell)

    # ---- drafts -----------------------------------------------------------------------------

    def save_draft(self, conversation_id: int | None, text: str) -> None:
        """Keep what is typed and not sent. In view-only mode it is kept in memory only."""
        self._drafts[conversation_id] = text

        def work(store: Store) -> bool:
            if store.writable:
                store.save_draft(conversation_id, text)
            return store.writable

        def done(on_disk: bool) -> None:
            if on_disk and self._drafts.get(conversation_id) == text:
                del self._drafts[conversation_id]
            if on_disk:
                self.all_well()

        self._store.call(work, done, self.tell)

    def keep_draft(self, conversation_id: int | None, text: str) -> None:
        """A draft that was just refused."""
        self._drafts[conversation_id] = text
        self._retry.start()

    def draft(self, conversation_id: int | None, stored: str) -> str:
        """The newest draft of a conversation."""
        return self._drafts.get(conversation_id, stored)

    def drop_draft(self, conversation_id: int | None) -> None:
        """It is being sent."""
        self._drafts.pop(conversation_id, None)

    # ---- refusals ---------------------------------------------------------------------------

    def tell(self, error: Exception) -> None:
        """Say once what the disk refused, and try again later. Raises what is a bug of ours."""
        if not isinstance(error, R1Error):
            raise error
        report = error.report()
        if self._closed:
            _log(error)  # there is no later
            return
        self._retry.start()
        if report.code != self._told:
            self._told = report.code
            self.failed.emit(report)

    def all_well(self) -> None:
        """Something was saved: once nothing is left over, say so."""
        if self._told and not self._endings and not self._drafts:
            self._told = ""
            self.recovered.emit()

    @Slot()
    def _try_again(self) -> None:
        for ending in self.endings():
            self._write(ending)
        for conversation_id, text in tuple(self._drafts.items()):
            self.save_draft(conversation_id, text)

    @property
    def waiting(self) -> bool:
        """True while something would be lost with this process."""
        return bool(self._endings) or (bool(self._told) and bool(self._drafts))

    def close(self) -> None:
        """The last try."""
        self._closed = True
        self._retry.stop()
        for ending in self.endings():
            self._store.call(ending.write, otherwise=self.tell)
        for conversation_id, text in tuple(self._drafts.items()):
            self.save_draft(conversation_id, text)


def _log(error: Exception) -> None:
    log.window.error("not saved before the end: %s", type(error).__name__)
