"""What happens to a conversation: between the store, the engine and the view.

The rule that everything here follows: what the user wrote is on disk before it goes to the model.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core.errors import EngineBusy, ErrorReport, R1Error
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import SamplingSettings
from r1desk.answer import Answer
from r1desk.answering import Answering
from r1desk.bridge import EngineBridge, StoreBridge
from r1desk.chat.values import ShownMessage
from r1desk.shown import load_branch
from r1desk.store import Store
from r1desk.unsaved import Ending, Unsaved


class ChatController(QObject):
    """Sends, edits, regenerates, stops and stores. Lives in the main thread."""

    branch_shown = Signal(object, list)  # conversation or None, list of ShownMessage
    answer_started = Signal(int)  # message
    thinking_streamed = Signal(int, str)
    answer_streamed = Signal(int, str)
    thinking_finished = Signal(int, float)
    prefill_progressed = Signal(int, object)  # message, PrefillProgress
    answer_finished = Signal(object)  # ShownMessage
    busy_changed = Signal()
    list_changed = Signal()
    leaving = Signal()  # another conversation is about to be shown
    draft_restored = Signal(str)
    failed = Signal(ErrorReport)
    recovered = Signal()  # what could not be saved is saved
    send_failed = Signal(str, ErrorReport)  # the text, which was not sent
    model_wanted = Signal()  # a question waits for a model

    def __init__(
        self,
        engine: EngineBridge,
        store: StoreBridge,
        model_name: Callable[[], str],
        sampling: Callable[[], tuple[SamplingSettings, str]],
    ) -> None:
        super().__init__()
        self._store = store
        self._model_name = model_name
        self._sampling = sampling
        self.conversation_id: int | None = None
        self._sending = False
        self._branch: list[ShownMessage] = []
        store.failed.connect(self._on_store_failed)
        self.unsaved = Unsaved(store)
        self.unsaved.saved.connect(self._on_saved)
        self.unsaved.kept.connect(self._on_kept)
        self.unsaved.failed.connect(self.failed)
        self.unsaved.recovered.connect(self.recovered)
        self._answering = Answering(
            engine, self.unsaved, lambda conversation: conversation == self.conversation_id, self
        )
        self._answering.answer_streamed.connect(self.answer_streamed)
        self._answering.thinking_streamed.connect(self.thinking_streamed)
        self._answering.thinking_finished.connect(self.thinking_finished)
        self._answering.prefill_progressed.connect(self.prefill_progressed)

    # ---- what is shown ----------------------------------------------------------------------

    @property
    def answer(self) -> Answer | None:
        """The answer being written."""
        return self._answering.answer

    @property
    def busy(self) -> bool:
        """True while an answer is being written or a message being stored."""
        return self.answer is not None or self._sending

    @property
    def busy_here(self) -> bool:
        """True while the answer being written belongs to the conversation shown."""
        return self.busy and (
            self.answer is None or self.answer.conversation_id == self.conversation_id
        )

    def new_chat(self) -> None:
        """Show an empty conversation; it is stored with its first message."""
        self.leaving.emit()
        self.begin()

    def begin(self) -> None:
        """The same at the start: there is nothing to leave, and what is typed by now stays."""
        self.conversation_id = None
        self._show(None, [])
        self._store.call(lambda store: store.draft(None), lambda text: self._restore(None, text))

    def open(self, conversation_id: int) -> None:
        """Show a stored conversation."""

        def read(store: Store) -> tuple[list[ShownMessage], str]:
            return load_branch(store, conversation_id), store.draft(conversation_id)

        def shown(result: tuple[list[ShownMessage], str]) -> None:
            branch, draft = result
            self._show(conversation_id, branch)
            self._restore(conversation_id, draft)

        self.leaving.emit()
        self.conversation_id = conversation_id
        self._store.call(read, shown)

    @property
    def shown_branch(self) -> list[ShownMessage]:
        """The messages on screen."""
        return self._branch

    def reopen(self) -> None:
        """Show the present conversation again, for a window that is new."""
        if self.conversation_id is None:
            self.new_chat()
        else:
            self.open(self.conversation_id)

    def save_draft(self, text: str) -> None:
        """Keep what is typed but not sent."""
        self.unsaved.save_draft(self.conversation_id, text)

    def _restore(self, conversation_id: int | None, stored_draft: str) -> None:
        if conversation_id == self.conversation_id:
            self.draft_restored.emit(self.unsaved.draft(conversation_id, stored_draft))

    def close(self) -> None:
        """Save what there is before the store is closed."""
        self._answering.close()
        self.unsaved.close()

    def _show(self, conversation_id: int | None, branch: list[ShownMessage]) -> None:
        if conversation_id != self.conversation_id:
            return  # the user has gone on to another one
        answer = self.answer
        branch = [self.unsaved.shown(message) for message in branch]
        if answer is not None:  # the store has it up to the last save, the memory has all of it
            branch = [answer.over(message) for message in branch]
        self._branch = branch
        self.branch_shown.emit(conversation_id, branch)
        if answer is not None and self._position(answer.message_id) is not None:
            self.answer_started.emit(answer.message_id)
        self.busy_changed.emit()

    # ---- wishes of the user -----------------------------------------------------------------

    def send(self, text: str) -> None:
        """Store the user's message, then ask the model."""
        leaf = self._branch[-1].id if self._branch else None
        self._ask(text, leaf, self.conversation_id)

    def edit(self, message_id: int, text: str) -> None:
        """A new branch that starts with another wording; the old one is kept."""
        position = self._position(message_id)
        if position is not None:
            parent = self._branch[position - 1].id if position else None
            self._ask(text, parent, self.conversation_id)

    def regenerate(self, message_id: int) -> None:
        """Another answer to the same message; the old one is kept."""
        position = self._position(message_id)
        if position is None or self.busy or self.conversation_id is None:
            return
        question = self._branch[position - 1].id
        conversation, model = self.conversation_id, self._model_name()

        def begin(store: Store) -> tuple[int, int, list[ShownMessage]]:
            answer = store.begin_answer(conversation, question, model)
            return conversation, answer.id, load_branch(store, conversation)

        self._begin(begin, text="")

    @Slot()
    def regenerate_last(self) -> None:
        """Another answer to the last question shown."""
        if self._branch and self._branch[-1].is_answer:
            self.regenerate(self._branch[-1].id)

    def select_sibling(self, message_id: int, delta: int) -> None:
        """Show the branch of the next or previous version of a message."""
        conversation = self.conversation_id
        if conversation is None or self.busy_here:
            return

        def select(store: Store) -> list[ShownMessage]:
            siblings = store.siblings(message_id)
            position = siblings.index(message_id) + delta
            if 0 <= position < len(siblings):
                store.select_branch(siblings[position])
            return load_branch(store, conversation)

        self._store.call(select, lambda branch: self._show(conversation, branch))

    def stop(self) -> None:
        """End the answer being written; what is there stays."""
        self._answering.stop()

    def _position(self, message_id: int) -> int | None:
        return next((i for i, m in enumerate(self._branch) if m.id == message_id), None)

    def _ask(self, text: str, parent: int | None, conversation_id: int | None) -> None:
        if self.busy:
            self.send_failed.emit(text, EngineBusy().report())
        if self.busy or not text.strip():
            return
        model = self._model_name()

        def begin(store: Store) -> tuple[int, int, list[ShownMessage]]:
            conversation = conversation_id
            with store.transaction():
                if conversation is None:
                    conversation = store.create_conversation().id
                    store.save_draft(None, "")
                question = store.append_user(conversation, text, parent)
                answer = store.begin_answer(conversation, question.id, model)
                store.save_draft(conversation, "")
            return conversation, answer.id, load_branch(store, conversation)

        self._begin(begin, text)

    def _begin(
        self, begin: Callable[[Store], tuple[int, int, list[ShownMessage]]], text: str
    ) -> None:
        """Store first; only what is stored is shown and sent to the model."""
        self._sending = True
        self.busy_changed.emit()
        shown_before = self.conversation_id
        endings = self.unsaved.endings()
        if text:
            self.unsaved.drop_draft(shown_before)

        def work(store: Store) -> tuple[int, int, list[ShownMessage]]:
            for ending in endings:
                ending.write(store)
            return begin(store)

        def stored(result: tuple[int, int, list[ShownMessage]]) -> None:
            conversation, message_id, branch = result
            self.unsaved.settled(endings)
            self._sending = False
            self._answering.expect(conversation, message_id)
            if self.conversation_id == shown_before:
                self.conversation_id = conversation
            self._generate(branch)  # first: the engine reads while the window draws
            self._show(conversation, branch)
            self.list_changed.emit()

        def refused(error: Exception) -> None:
            self._sending = False
            self.busy_changed.emit()
            here = self.conversation_id == shown_before
            if text:
                self.unsaved.keep_draft(shown_before, text)
            if not isinstance(error, R1Error):
                self.draft_restored.emit(text if here else "")
                raise error
            self.send_failed.emit(text if here else "", error.report())

        self._store.call(work, stored, refused)

    def _generate(self, branch: list[ShownMessage]) -> None:
        """Hand the branch, without the empty answer at its end, to the engine."""
        sampling, system_prompt = self._sampling()
        messages = [
            Message(role=Role(m.role), content=m.content)
            for m in branch[:-1]
            if m.content or m.role == Role.USER
        ]
        if system_prompt.strip():
            messages.insert(0, Message(role=Role.SYSTEM, content=system_prompt))
        self.model_wanted.emit()
        self._answering.ask(messages, sampling)

    # ---- how answers end ---------------------------------------------------------------------

    @Slot(object, list)
    def _on_saved(self, ending: Ending, branch: list[ShownMessage]) -> None:
        self._show_ending(ending, branch)
        self.list_changed.emit()
        self.busy_changed.emit()

    @Slot(object)
    def _on_kept(self, ending: Ending) -> None:
        """The disk is full, say: the text stays in the view, and the user can go on."""
        self._show_ending(ending, [self.unsaved.shown(message) for message in self._branch])
        self.busy_changed.emit()

    def _show_ending(self, ending: Ending, branch: list[ShownMessage]) -> None:
        if ending.conversation_id != self.conversation_id:
            return
        finished = next((m for m in branch if m.id == ending.message_id), None)
        if finished is not None:  # else another branch is shown by now
            self._branch = branch
            self.answer_finished.emit(finished)

    @Slot(object)
    def _on_store_failed(self, error: Exception) -> None:
        if not isinstance(error, R1Error):
            raise error
        self.failed.emit(error.report())
