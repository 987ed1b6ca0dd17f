"""Has the engine ready what the next message of the conversation on the screen will need.

A conversation that is opened is restored from disk, which computes nothing. After a
complete answer, what the template will make of it is prefilled while the user reads, where the
setting allows that and until the user stops it or leaves the conversation.
"""

from contextlib import suppress
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.events import Event, PromptCacheState
from deepseek_r1.documents.document_prompt import document_owners
from deepseek_r1.hardware.processor import battery_is_low
from deepseek_r1.host.protocol import (
    EngineState,
    PrepareRequest,
    PromptCacheFolder,
    RetainPromptsRequest,
)
from r1desk.chat.answers.answer_queue import effective
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.values.answering_model import DocumentTexts
from r1desk.chat.values.message import can_go_on, fills_context
from r1desk.chat.values.prompt import prompt_messages
from r1desk.engine.engine_bridge import EngineBridge
from r1desk.platform.tasks import Tasks, task
from r1desk.preferences import Preferences
from r1desk.store import ChatMessage, ConversationSettings, Store
from r1desk.store.store_bridge import StoreBridge


class PromptPreparation(QObject):
    """Asks for preparations and deletes the prompts of deleted conversations. Main thread."""

    state_changed = Signal(object)  # events.PromptCacheState

    def __init__(
        self,
        engine: EngineBridge,
        store: StoreBridge,
        chat: ChatController,
        folder: Path | None,
        *,
        preferences: Preferences,
        documents: DocumentTexts,
    ) -> None:
        """`folder` is where prompts are kept; None where nothing may be written."""
        super().__init__()
        self._engine, self._store, self._chat = engine, store, chat
        self._folder, self._preferences, self._documents = folder, preferences, documents
        self.state: PromptCacheState | None = None
        self._computing: object = None  # the preparation that computes
        self.tasks = Tasks(self, chat.report_failure)
        engine.event_received.connect(self._on_event)
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
            text = self._documents.document_text(sources)
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
