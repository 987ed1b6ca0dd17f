"""The documents of the conversation on the screen: read, indexed, searched for a question."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import takewhile

from PySide6.QtCore import QObject, Signal, Slot

from deepseek_r1.core.errors import ErrorReport, R1Error
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import SamplingSettings, most_prompt_tokens
from deepseek_r1.documents.document import Passage
from deepseek_r1.documents.document_prompt import (
    SEARCHED_TOKENS,
    plan,
    question_before,
)
from deepseek_r1.documents.reading_memory import ReadingMemory
from r1desk.chat.answers.chat_settings import ChatSettingsController
from r1desk.chat.answers.controller import ChatController
from r1desk.chat.answers.message_actions import UndoHistory
from r1desk.chat.context.file_reader import FileReader, FileReading
from r1desk.chat.context.loaded_model import MeasuredSpeed, TokenCounter
from r1desk.chat.values.prompt import (
    document_text,
    prompt_messages,
    require_documents,
    with_documents,
)
from r1desk.platform.background_thread import ask_in_background
from r1desk.platform.tasks import Tasks, newest_task, task
from r1desk.store import AnswerSources, Attachment, Store

_READING_S = 20  # that passages of a question may take
_WHOLE_S = 120  # a document that takes longer is searched, until the user wants it read whole
_UNMEASURED_TOK_S = 60  # where the model has read nothing yet
UNLOADED_CONTEXT = 4096  # tokens that documents may fill before any model was loaded
_TEXTS_KEPT = 40  # passages of a whole document that keep their text beside an answer


class ChatDocuments(QObject):
    """Reads and plans in threads of their own. Main thread, where nothing else is said.

    Signals:
        changed: `shown`, the documents of the conversation and of its folder, or `text`, which
            stands first in its next prompt.
        draft_changed: `draft`, the files that go with the message being written.
        cleaned: the set of the hashes of documents whose texts are deleted.
    """

    changed = Signal()
    draft_changed = Signal()
    cleaned = Signal(object)

    def __init__(
        self,
        chat: ChatController,
        counter: TokenCounter,
        history: UndoHistory,
        *,
        speed: MeasuredSpeed,
        settings: ChatSettingsController,
    ) -> None:
        super().__init__()
        self._chat, self._store, self._history, self._speed = chat, chat.store, history, speed
        self.tasks = Tasks(self, chat.report_failure)
        self.counter, self._models, self._settings = counter, chat.models, settings
        self._last_context = UNLOADED_CONTEXT
        self._closed = False
        self.index = chat.index
        self.shown: tuple[Attachment, ...] = ()
        self.of_folder: frozenset[str] = frozenset()  # hashes of those that its folder has
        self.text = ""
        self.draft: tuple[Attachment, ...] = ()
        self.memory = ReadingMemory(self._budget_mib, counter.reduce_weights)
        self.files, self.folder_files = (
            FileReader(self.index, counter, chat, memory=self.memory, gently=gently)
            for gently in (False, True)
        )
        self.files.file_read.connect(self._on_file_read)
        self.folder_files.file_read.connect(self._on_folder_file_read)
        self.folder_files.changed.connect(self.refresh)
        self._checking = False  # files of folders
        chat.branch_shown.connect(self._on_branch_shown)
        chat.branch_shown.connect(self.refresh)
        chat.draft_restored.connect(self._on_restored)
        chat.answers.given_back.connect(self._on_restored)

    def close(self) -> None:
        self._closed = True
        self.tasks.close()
        self.counter.close()
        self.files.close()
        self.folder_files.close()

    def _budget_mib(self) -> float:
        """Any thread."""
        others = self.counter.engine.comparison
        return others.memory_budget if others is not None else self._models.budget_mib

    @property
    def settings(self) -> tuple[SamplingSettings, str]:
        """Sampling and instructions of the conversation shown, its documents before them."""
        sampling, system_prompt = self._settings.present
        return sampling, with_documents(self.text, system_prompt)

    # ---- the conversation shown -------------------------------------------------------------

    @newest_task
    async def refresh(self) -> None:
        key = self._chat.conversation_id
        branch = self._chat.shown_branch
        sources = branch[-1].sources if branch else None

        def read(store: Store) -> tuple[tuple[Attachment, ...], frozenset[str], str]:
            inside = self._folder_of(store, key)
            of_folder = store.attachments.of_folder(inside) if inside is not None else ()
            documents = store.attachments.documents(key, inside)
            return (
                documents,
                frozenset(d.sha256 for d in of_folder),
                document_text(self.index, sources),
            )

        found = await self._store.ask(read)
        if key == self._chat.conversation_id and found != (self.shown, self.of_folder, self.text):
            self.shown, self.of_folder, self.text = found
            self.changed.emit()

    def _folder_of(self, store: Store, conversation: int | None) -> int | None:
        if conversation is None:
            return self._chat.new_chat_folder
        with suppress(LookupError):  # it was deleted meanwhile
            return store.conversations.get(conversation).folder_id
        return None

    @task
    async def remove(self, sha256: str) -> None:
        if (key := self._chat.conversation_id) is not None:
            await self._chat.change(
                key, lambda store: store.attachments.drop_document(sha256, conversation_id=key)
            )
            self.clean([sha256], for_good=False)

    @task
    async def check_files(self) -> None:
        if self._closed or self._checking:
            return
        self._checking = True
        try:
            hashes = await self._store.ask(lambda store: store.attachments.in_folders())
            async for changed in self.folder_files.reread(hashes):
                if isinstance(changed, ErrorReport):
                    self.folder_files.refused.emit(changed)
                else:
                    self._replace(*changed)
        finally:
            self._checking = False

    @task
    async def _replace(self, sha256: str, file: Attachment) -> None:
        await self._store.ask(lambda store: store.attachments.replace_document(sha256, file))
        self.refresh()
        self.clean([sha256])

    @task
    async def clean(self, hashes: Collection[str] | None = None, *, for_good: bool = True) -> None:
        """Delete the texts of those of these documents that no chat and no folder has any more.

        None: of all but new ones, at the start. Not `for_good`: only where nothing can be undone.
        """
        if self._closed or (self._history.changes and not for_good):
            return

        def work() -> set[str]:
            there = set(hashes or ())
            if hashes is None and self.index.size_bytes:
                there = {each.sha256 for each in self.index.documents()} - self.index.added.keys()
            used = self._store.run(
                lambda s: s.attachments.used_documents() if s.writable else there
            )
            for each in there - used:
                self.index.remove(each)
            return there - used

        gone: set[str] = set()
        with suppress(R1Error):  # the index is damaged: nothing of it is deleted
            gone = await ask_in_background(work)
        self.cleaned.emit(gone)

    # ---- the message being written ----------------------------------------------------------

    @Slot(object, object)
    def _on_folder_file_read(self, reading: FileReading, file: Attachment) -> None:
        file = self._searched_if_long(file)
        self._store.call(lambda store: store.attachments.add_to_folder(reading.folder, file))

    @Slot(object, object)
    def _on_file_read(self, reading: FileReading, file: Attachment) -> None:
        if reading.stop.is_set():  # taken off meanwhile
            self.clean([file.sha256], for_good=False)
        elif reading.was_left:
            self._add_to_draft(reading.conversation, self._searched_if_long(file))
        elif file.sha256 not in {each.sha256 for each in self.draft}:
            self.change_draft((*self.draft, self._searched_if_long(file)))

    def _searched_if_long(self, file: Attachment) -> Attachment:
        return replace(file, searched=file.tokens > self._readable(_WHOLE_S))

    def change_draft(self, files: tuple[Attachment, ...]) -> None:
        """The user changed the files of the message: keep them."""
        removed = {each.sha256 for each in self.draft} - {each.sha256 for each in files}
        self.draft = files
        self.draft_changed.emit()
        self._chat.save_draft(files)
        if removed:
            self.clean(removed, for_good=False)

    @Slot()
    def _on_branch_shown(self) -> None:
        """The new chat may have been stored, and has an id now."""
        for each in self.files.readings:
            if not each.was_left:
                each.conversation = self._chat.conversation_id

    @task
    async def _add_to_draft(self, conversation: int | None, file: Attachment) -> None:
        """Attach a file to the draft of a chat that was left meanwhile, and may be shown again."""

        def read(store: Store) -> tuple[Attachment, ...]:
            if conversation is not None:
                store.conversations.get(conversation)
            return store.attachments.drafts(conversation)

        try:
            stored = await self._store.ask(read)
        except LookupError:  # the chat was deleted
            self.clean([file.sha256], for_good=False)
            return
        writes = self._chat.pending_writes
        before = writes.draft(conversation, stored)
        files = (*(each for each in before if each.sha256 != file.sha256), file)
        writes.save_draft(conversation, files)
        if conversation == self._chat.conversation_id and not self._chat.opening:
            self.draft = files
            self.draft_changed.emit()

    def leave_draft(self) -> None:
        """Go on to another message. Files that are being read for this one go on."""
        self.files.end(*(each for each in self.files.readings if each.text))
        for each in self.files.readings:
            each.was_left = True
        self.draft = ()
        self.draft_changed.emit()

    @property
    def readings(self) -> list[FileReading]:
        shown = self._chat.conversation_id
        return [each for each in self.files.readings if each.conversation == shown]

    @Slot(str, tuple)
    def _on_restored(self, _text: str, files: tuple[Attachment, ...]) -> None:
        since = tuple(each for each in self.draft if each not in files)
        if files + since != self.draft:
            self.change_draft(files + since)

    # ---- a question -------------------------------------------------------------------------

    def of_question(self, draft: Iterable[Attachment]) -> dict[str, str]:
        """The documents of the next question, in the order of its prompt: names by hashes."""
        return {each.sha256: each.name for each in (*self.shown, *draft) if each.sha256}

    @task
    async def set_searched(self, sha256s: Collection[str], *, searched: bool) -> None:
        """Have documents of the conversation or the message searched, or read whole if they fit."""

        def changed(each: Attachment) -> Attachment:
            return replace(each, searched=searched) if each.sha256 in sha256s else each

        if (draft := tuple(map(changed, self.draft))) != self.draft:
            self.change_draft(draft)
        key = self._chat.conversation_id

        def keep(store: Store) -> None:
            store.attachments.set_searched(sha256s, key, self._folder_of(store, key), searched)

        await self._store.ask(keep)
        self.refresh()

    @property
    def embedding_model(self) -> str:
        """The name of the one that is loaded; empty for none."""
        facts = self._models.facts if self._models.ready else None
        return facts.embedding_model if facts is not None else ""

    @property
    def context_length(self) -> int:
        """The loaded model's, or that of the last one."""
        return self._models.context_length or self._last_context

    @property
    def searched_tokens(self) -> int:
        """About how many tokens of passages go with a question."""
        return min(SEARCHED_TOKENS, self._readable(_READING_S))

    def _readable(self, seconds: float) -> int:
        return round((self._speed.prefill_tok_s or _UNMEASURED_TOK_S) * seconds)

    async def plan(
        self,
        question: str,
        draft: Sequence[Attachment] = (),
        chosen: Sequence[Passage] | None = None,
        edited: int = 0,
    ) -> AnswerSources:
        """Work out what the answer to a question is given. Raises R1Error.

        `chosen` are passages to take in place of those that a search finds; `edited` is the message
        whose place the question takes. A message that brings no document of its own may be about
        something else.
        """
        names = self.of_question(draft)
        documents = tuple(names)
        searched = {each.sha256 for each in (*self.shown, *draft) if each.searched}
        above = list(takewhile(lambda each: each.id != edited, self._chat.shown_branch))
        context = self._last_context = self.context_length
        sampling, instructions = self._settings.present
        most = most_prompt_tokens(context, sampling.max_tokens)
        compares = bool(self.embedding_model)
        searched_tokens = self.searched_tokens
        before = question_before([each.content for each in above if each.role is Role.USER])
        given = [each.sources for each in above if each.sources is not None]
        outlines = [each.outline for each in given if each.outline]

        def work() -> AnswerSources:
            require_documents(self.index, names)
            asked = Message(role=Role.USER, content=question)
            messages = (*prompt_messages(above, instructions, AnswerSources()), asked)
            prompt = plan(
                self.index,
                documents,
                messages,
                most,
                self.counter,
                compares=compares,
                searched=searched,
                chosen=chosen,
                before=before,
                searched_tokens=searched_tokens,
                must_send=any(each.sha256 for each in draft),
            )
            # What the prompts before began with is in the model's context already.
            found = [s for s in prompt.sources if s.passage.sha256 not in prompt.documents]
            outline = prompt.outline if found or not outlines else outlines[-1]
            own = self.counter.count_tokens(question) if prompt.sources else 0
            kept = len(found) + _TEXTS_KEPT
            others = (
                replace(s, passage=replace(s.passage, text="")) for s in prompt.sources[kept:]
            )
            return AnswerSources(
                sent=(*prompt.sources[:kept], *others),
                tokens=max(0, prompt.tokens - own),
                whole=prompt.whole,
                documents=prompt.documents,
                asked=prompt.question,
                question=question,
                outline="" if prompt.whole else outline,
            )

        return await ask_in_background(work)
