"""Has the loaded model read the documents of a chat before they are asked about."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core.events import Event, PrefillProgress
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.documents.document_prompt import document_owners, whole_text
from deepseek_r1.host.protocol import PrepareRequest
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.context.chat_documents import ChatDocuments
from r1desk.engine.engine_bridge import EngineBridge, EngineRequest, log_refusal
from r1desk.platform.tasks import Tasks, task
from r1desk.store import ChatMessage
from r1desk.store.store_bridge import StoreBridge, report_of

_KEY = "models and the documents they have read"
_MOST_NOTED = 500


class DocumentReading(QObject):
    """One reading at a time, which the user starts, pauses and goes on with. Main thread.

    What was read is kept in the segments of the prompt cache: a reading that ended early, also with
    the application, goes on where it stopped. An answer ends it too, and reads on by itself.

    Signals:
        changed: it goes on or stops, or something has been read.
    """

    changed = Signal()

    def __init__(
        self,
        engine: EngineBridge,
        chat: ChatController,
        store: StoreBridge,
        documents: ChatDocuments,
        model: Callable[[], str],
    ) -> None:
        """`model` is the name of the loaded one, empty without one."""
        super().__init__()
        self._engine, self._chat, self._store = engine, chat, store
        self._documents, self._model = documents, model
        self.tasks = Tasks(self, self._log)
        self._fetching: object = None  # the text of documents
        self._begun: tuple[str, ...] = ()  # the documents that were begun last, as in their prompt
        self.fraction = 0.0  # of that, which has been read
        self._request: EngineRequest | None = None  # while it runs
        self._read: list[tuple[str, ...]] = []  # a model, and what it has read as one; latest last
        chat.answer_finished.connect(self._on_answer)
        chat.stopped.connect(self.pause)
        store.call(lambda store: store.key_value.get(_KEY), self._on_noted)

    @property
    def is_running(self) -> bool:
        """Whether the model is reading."""
        return self._request is not None

    def begun_of(self, documents: Sequence[str]) -> Sequence[str]:
        """The first of these, where they are what is being read, to `fraction` of it."""
        fits = self._begun == tuple(documents[: len(self._begun)]) and 0 < self.fraction < 1
        return self._begun if fits else ()

    def read_of(self, documents: Sequence[str]) -> Sequence[str]:
        """The first of these, in this order, whose cells the loaded model has.

        What was read behind other documents is read again without them.
        """
        wanted = (self._model(), *documents)
        read = (len(each) - 1 for each in self._read if each == wanted[: len(each)])
        return documents[: max(read, default=0)]

    @Slot(object)
    def forget(self, gone: set[str]) -> None:
        """Forget what was read with documents that are nowhere any more, as the cache does."""
        if not gone.isdisjoint(self._begun):
            self.pause()
        self._read = [each for each in self._read if gone.isdisjoint(each[1:])]
        self.changed.emit()

    def start(self, documents: Sequence[str]) -> None:
        """Begin, or go on, to read these documents whole, in this order."""
        wanted = tuple(documents)
        if wanted != self._begun:
            self._begun, self.fraction = wanted, 0.0
        self.tasks.cancel(self._fetching)
        self._fetching = self._read_text(wanted)

    def _log(self, error: Exception) -> None:
        """Nothing is lost: they are read with the question."""
        log_refusal(report_of(error))

    @Slot()
    def pause(self) -> None:
        """Stop for now; the engine keeps what was read."""
        self.tasks.cancel(self._fetching)
        if self._request is not None:
            self._request.cancel()

    @task
    async def _read_text(self, documents: tuple[str, ...]) -> None:
        text = await self._documents.ask(lambda index: whole_text(index, documents, "")[0])
        if self._request is not None:
            self._request.cancel()
        message, owners = Message(role=Role.SYSTEM, content=text), document_owners(documents)
        self._request = request = self._engine.submit(
            PrepareRequest, messages=(message,), owner=" ".join(owners), compute=True
        )
        request.event.connect(self._on_event)
        request.done.connect(self._on_ended)
        request.failed.connect(self._on_ended)
        request.failed.connect(log_refusal)
        self._show()

    def _show(self) -> None:
        if self.is_running != self._chat.preparing:
            self._chat.set_preparing(self.is_running)
        self.changed.emit()

    @Slot(object)
    def _on_event(self, event: Event) -> None:
        if isinstance(event, PrefillProgress) and self.sender() is self._request:
            self.fraction = event.done / max(1, event.total)
            self._show()

    @Slot()
    def _on_ended(self) -> None:
        if self.sender() is self._request:
            self._request = None
            if self.fraction >= 1:
                self._note(self._begun)
            self._show()

    @Slot(object)
    def _on_answer(self, answer: ChatMessage) -> None:
        """One that was stopped before its first token may have read a part of them."""
        sources, stats = answer.sources, answer.stats
        if sources is None or not sources.whole or not sources.documents or stats is None:
            return
        read = stats.context_used / max(1, sources.tokens)  # they stand first in the prompt
        if answer.state == "complete" or stats.completion_tokens or read >= 1:
            self._note(sources.documents)
        elif not self.is_running:
            self._begun, self.fraction = sources.documents, read
            self.changed.emit()

    def _note(self, documents: Sequence[str]) -> None:
        new = (self._model(), *documents)
        self._read = [*(each for each in self._read if each != new), new][-_MOST_NOTED:]
        noted = list(self._read)
        self._store.call(lambda store: store.writable and store.key_value.set(_KEY, noted))
        self.changed.emit()

    def _on_noted(self, noted: object) -> None:
        if isinstance(noted, list):
            self._read = [*(tuple(map(str, each)) for each in noted), *self._read]
            self.changed.emit()
