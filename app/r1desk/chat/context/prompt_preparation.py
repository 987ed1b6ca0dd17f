"""Has the engine ready what the next message of the conversation on the screen will need.

A conversation that is opened is restored from disk, which computes nothing. After a
complete answer, what the template will make of it is prefilled while the user reads, where the
setting allows that and until the user stops it or leaves the conversation. Documents are read
before they are asked about where the user wants that.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.events import Event, PrefillProgress, PromptCacheState
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.documents.document_prompt import document_owners, whole_text
from deepseek_r1.hardware.processor import battery_is_low
from deepseek_r1.host.protocol import (
    EngineState,
    PrepareRequest,
    PromptCacheFolder,
    RetainPromptsRequest,
)
from r1desk.chat.answers.answer_queue import effective
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.values.prompt import can_go_on, document_text, fills_context, prompt_messages
from r1desk.platform.background_thread import ask_in_background
from r1desk.platform.tasks import Tasks, newest_task, task
from r1desk.store import ChatMessage, ConversationSettings, Store

_KEY = "models and the documents they have read"
_MOST_NOTED = 500


class PromptPreparation(QObject):
    """Asks for preparations and deletes the prompts of deleted conversations. Main thread."""

    state_changed = Signal(object)  # events.PromptCacheState

    def __init__(
        self,
        chat: ChatController,
        folder: Path | None,
    ) -> None:
        """`folder` is where prompts are kept; None where nothing may be written."""
        super().__init__()
        self._engine, self._store, self._chat = chat.engine, chat.store, chat
        self._folder, self._preferences = folder, chat.preferences
        self.state: PromptCacheState | None = None
        self._computing: object = None  # the preparation that computes
        self.tasks = Tasks(self, chat.report_failure)
        chat.engine.event_received.connect(self._on_event)
        chat.branch_shown.connect(self.restore_shown)
        chat.stopped.connect(self.stop)
        chat.leaving.connect(self.stop)
        chat.pending_writes.saved.connect(self._on_answer_saved)
        self.apply_settings()

    def apply_settings(self) -> None:
        """Take up changed settings. Nothing is kept on disk with a budget of 0."""
        folder, budget_mib = self._folder, self._preferences.prompts.disk_mib
        self._engine.prompt_cache = (
            PromptCacheFolder(path=str(folder), budget_mib=budget_mib) if folder else None
        )

    @task
    async def retain_present(self) -> None:
        """Delete the prompts of conversations and documents that are nowhere any more."""
        folder = self._engine.prompt_cache

        def present(store: Store) -> tuple[str, ...]:
            infos = store.conversations.infos() + store.conversations.infos(trashed=True)
            used = store.attachments.used_documents()
            return (*(str(info.id) for info in infos), *document_owners(used))

        owners = await self._store.ask(present)
        if folder is None or not Path(folder.path).exists():
            return
        kept = owners if folder.budget_mib else ()
        self._engine.submit(RetainPromptsRequest, folder=folder, owners=kept)

    @Slot()
    def stop(self) -> None:
        """End a preparation that computes; what it has read stays in the engine."""
        self.tasks.cancel(self._computing)

    @Slot()
    def restore_shown(self) -> None:
        """Restore the conversation on the screen; nothing is computed."""
        if self._chat.shown_branch and not self._chat.busy:
            self._prepare(self._chat.shown_branch, compute=False)

    @Slot(object, list)
    def _on_answer_saved(self, answer: ChatMessage, branch: list[ChatMessage]) -> None:
        if self._chat.busy or not branch:  # the user was faster
            return
        if fills_context(branch[-1]):
            return  # the user decides how it goes on
        if branch[-1].thinking and can_go_on(branch[-1]):
            return  # it may go on from its cells; the next turn has none of its thinking
        wanted = answer.state == "complete" and answer.conversation_id == self._chat.conversation_id
        wanted = wanted and self._preferences.prompts.prepare_next_turn
        compute = wanted and not battery_is_low()
        preparing = self._prepare(branch, compute=compute)
        if compute:
            self._computing = preparing

    @task
    async def _prepare(self, branch: list[ChatMessage], *, compute: bool) -> None:
        folder = self._engine.prompt_cache
        if not compute and (folder is None or not folder.budget_mib):
            return
        conversation_id = branch[0].conversation_id
        sources = branch[-1].sources
        whole = sources.documents if sources is not None else ()

        def read(store: Store) -> tuple[ConversationSettings, str]:
            text = document_text(self._chat.index, sources)
            return store.conversations.settings(conversation_id), text

        settings, text = await self._store.ask(read)
        system_prompt = effective(settings, self._preferences)[1]
        if self._chat.busy:  # the user was faster
            return
        if compute and self._engine.state is EngineState.READY:  # no model: several were compared
            return
        request = self._engine.submit(
            PrepareRequest,
            messages=prompt_messages(branch, system_prompt, document_text=text),
            owner=" ".join([str(conversation_id), *document_owners(whole)]),
            compute=compute,
        )
        is_elsewhere = conversation_id != self._chat.conversation_id  # the user, by now
        try:
            if compute:
                self._chat.set_preparing(True)
            with suppress(R1Error):  # the next message is read from its beginning
                await request
                if is_elsewhere:
                    self.restore_shown()
        finally:
            if compute:
                request.cancel()
                self._chat.set_preparing(False)

    @Slot(object)
    def _on_event(self, event: Event) -> None:
        if isinstance(event, PromptCacheState):
            self.state = event
            self.state_changed.emit(event)


class DocumentPrefill(QObject):
    """One reading at a time, which the user starts, pauses and goes on with. Main thread.

    What was read is kept in the segments of the prompt cache: a reading that ended early, also with
    the application, goes on where it stopped. An answer ends it too, and reads on by itself.
    """

    changed = Signal()  # it goes on or stops, or something has been read

    def __init__(
        self,
        chat: ChatController,
    ) -> None:
        super().__init__()
        self._engine, self._chat, self._store = chat.engine, chat, chat.store
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
        return facts.name if (facts := self._chat.models.facts) is not None else ""

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
        text = await ask_in_background(whole_text, self._chat.index, documents, "")
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
