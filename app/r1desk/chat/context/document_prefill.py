"""Has the loaded model read the documents of a chat before they are asked about."""

from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core.events import PrefillProgress
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.documents.document_prompt import document_owners, whole_text
from deepseek_r1.host.protocol import PrepareRequest
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.context.chat_documents import ChatDocuments
from r1desk.chat.values.answering_model import AnsweringModel
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.platform.tasks import Tasks, newest_task, task
from r1desk.store import ChatMessage
from r1desk.store.store_bridge import StoreBridge

_KEY = "models and the documents they have read"
_MOST_NOTED = 500


class DocumentPrefill(QObject):
    """One reading at a time, which the user starts, pauses and goes on with. Main thread.

    What was read is kept in the segments of the prompt cache: a reading that ended early, also with
    the application, goes on where it stopped. An answer ends it too, and reads on by itself.
    """

    changed = Signal()  # it goes on or stops, or something has been read

    def __init__(
        self,
        engine: EngineBridge,
        chat: ChatController,
        store: StoreBridge,
        documents: ChatDocuments,
        models: AnsweringModel,
    ) -> None:
        super().__init__()
        self._engine, self._chat, self._store = engine, chat, store
        self._documents, self._models = documents, models
        self.tasks = Tasks(self)  # after a refusal nothing is lost: it is read with the question
        self._begun: tuple[str, ...] = ()  # the documents that were begun last, as in their prompt
        self.fraction = 0.0  # of that, which has been read
        self.is_running = False  # the model is reading
        self._read: list[tuple[str, ...]] = []  # a model, and what it has read as one; latest last
        chat.answer_finished.connect(self._on_answer)
        chat.stopped.connect(self.pause)
        self._read_notes()

    @property
    def _model(self) -> str:
        """The name of the loaded model; empty without one."""
        return self._models.facts.name if self._models.facts is not None else ""

    def begun_of(self, documents: Sequence[str]) -> Sequence[str]:
        """The first of these, where they are what is being read, to `fraction` of it."""
        fits = self._begun == tuple(documents[: len(self._begun)]) and 0 < self.fraction < 1
        return self._begun if fits else ()

    def read_of(self, documents: Sequence[str]) -> Sequence[str]:
        """The first of these, in this order, whose cells the loaded model has.

        What was read behind other documents is read again without them.
        """
        wanted = (self._model, *documents)
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
        self._read_ahead(wanted)

    @Slot()
    def pause(self) -> None:
        """Stop for now; the engine keeps what was read."""
        self.tasks.end(self._read_ahead)

    @newest_task
    async def _read_ahead(self, documents: tuple[str, ...]) -> None:
        text = await self._documents.ask(whole_text, documents, "")
        message, owners = Message(role=Role.SYSTEM, content=text), document_owners(documents)
        request = self._engine.submit(
            PrepareRequest, messages=(message,), owner=" ".join(owners), compute=True
        )
        self.is_running = True
        self._show()
        try:
            async for event in request:
                if isinstance(event, PrefillProgress):
                    self.fraction = event.done / max(1, event.total)
                    self._show()
        finally:
            request.cancel()
            self.is_running = False
            if self.fraction >= 1:
                self._note(documents)
            self._show()

    def _show(self) -> None:
        if self.is_running != self._chat.preparing:
            self._chat.set_preparing(self.is_running, documents=True)
        self.changed.emit()

    @Slot(object)
    def _on_answer(self, answer: ChatMessage) -> None:
        """One that was stopped before its first token may have read a part of them."""
        sources, stats = answer.sources, answer.stats
        if sources is None or not sources.documents or stats is None:
            return
        read = stats.context_used / max(1, sources.tokens)  # they stand first in the prompt
        if answer.state == "complete" or stats.completion_tokens or read >= 1:
            self._note(sources.documents)
        elif not self.is_running:
            self._begun, self.fraction = sources.documents, read
            self.changed.emit()

    def _note(self, documents: Sequence[str]) -> None:
        new = (self._model, *documents)
        self._read = [*(each for each in self._read if each != new), new][-_MOST_NOTED:]
        noted = list(self._read)
        self._store.remember_value(_KEY, noted)
        self.changed.emit()

    @task
    async def _read_notes(self) -> None:
        noted = await self._store.value(_KEY)
        if isinstance(noted, list):
            self._read = [*(tuple(map(str, e)) for e in noted if isinstance(e, list)), *self._read]
            self.changed.emit()
