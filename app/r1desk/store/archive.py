"""Conversations as a JSON document, for a backup or another computer; and copies of them."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from deepseek_r1.core.atomic_write import write_atomically
from deepseek_r1.core.events import GenerationStats
from deepseek_r1.core.messages import Role
from deepseek_r1.core.settings import SamplingSettings
from r1desk.store.errors import ArchiveNotWritten, ArchiveUnreadable
from r1desk.store.prompt_store import PromptFile
from r1desk.store.records import (
    LATEST_S,
    AnswerSources,
    Attachment,
    ChatMessage,
    ConversationSettings,
    MessageState,
)
from r1desk.store.store import Store

_HEADINGS = {Role.USER: "User", Role.ASSISTANT: "Assistant", Role.SYSTEM: "System"}

FORMAT, VERSION = "r1desk-conversations", 1
Seconds = Annotated[float, Field(ge=0, le=LATEST_S)]


class _ArchivePart(BaseModel):
    model_config = ConfigDict(frozen=True, defer_build=True)


class ArchivedMessage(_ArchivePart):
    """A message; `parent` is the number of an earlier one, None at the beginning."""

    number: Annotated[int, Field(ge=0)]
    parent: int | None = None
    role: Literal[Role.SYSTEM, Role.USER, Role.ASSISTANT]
    state: Literal[MessageState.COMPLETE, MessageState.STOPPED, MessageState.FAILED] = (
        MessageState.COMPLETE
    )
    created_at: Seconds = 0.0
    content: str = ""
    thinking: str = ""
    thinking_s: Seconds = 0.0
    model_name: str = ""
    stats: GenerationStats | None = None
    attachments: tuple[Attachment, ...] = ()
    edited: bool = False
    memory_start: bool = False
    sources: AnswerSources | None = None


class ArchivedConversation(_ArchivePart):
    """A conversation with all its branches; `shown` is the last message of the one shown."""

    title: str = ""
    created_at: Seconds = 0.0
    updated_at: Seconds = 0.0
    folder: str = ""  # its name
    model_path: str = ""
    system_prompt: str = ""
    sampling: SamplingSettings | None = None
    shown: int | None = None
    messages: tuple[ArchivedMessage, ...] = ()


class ConversationBegins(_ArchivePart):
    """Tells by time and content whether a conversation is here already."""

    created_at: Seconds
    digest: str


# Of a conversation: that it begins, its messages, and itself without them.
Piece = ConversationBegins | ArchivedMessage | ArchivedConversation


# What a message of a document has as a stored one has it.
_ALIKE = {field.name for field in fields(ChatMessage)} & {*ArchivedMessage.model_fields}


def archived_conversation(store: Store, conversation_id: int) -> ArchivedConversation:
    """A stored conversation as a document has it. Raises LookupError for an unknown id."""
    info = store.conversations.get(conversation_id)
    settings = store.conversations.settings(conversation_id)
    path = store.messages.path(conversation_id)
    return ArchivedConversation(
        title=info.title,
        created_at=info.created_at,
        updated_at=info.updated_at,
        folder=next((f.name for f in store.folders.infos() if f.id == info.folder_id), ""),
        model_path=settings.model_path,
        system_prompt=settings.system_prompt,
        sampling=settings.sampling,
        shown=path[-1].id if path else None,
        messages=tuple(archived_message(node) for node in store.messages.all_of(conversation_id)),
    )


def archived_message(node: ChatMessage) -> ArchivedMessage:
    """A stored message as a document has it; one that is being written counts as stopped."""
    if node.state is MessageState.STREAMING:
        node = replace(node, state=MessageState.STOPPED)
    alike = {name: getattr(node, name) for name in _ALIKE}
    return ArchivedMessage(number=node.id, parent=node.parent_id, **alike)


class ConversationWriter:
    """Stores archived conversations as new ones: of each its messages first, then itself.

    They are in no list until `finish`.
    """

    def __init__(self) -> None:
        self.ids: list[int] = []  # of the conversations that are whole
        self.begun: list[int] = []  # the one being written too
        self._conversation_id: int | None = None  # of the one being written
        self._new_ids: dict[int | None, int | None] = {None: None}  # of messages by their numbers
        self._last: int | None = None
        self._folders: dict[str, list[int]] = defaultdict(list)

    def write(self, store: Store, pieces: Iterable[ArchivedMessage | ArchivedConversation]) -> None:
        """Store messages, and end their conversations. Raises ArchiveUnreadable."""
        with store.transaction():
            for piece in pieces:
                self._write(store, piece)

    def _write(self, store: Store, piece: ArchivedMessage | ArchivedConversation) -> None:
        if self._conversation_id is None:
            self._conversation_id = store.conversations.create(hidden=True).id
            self.begun.append(self._conversation_id)
        if isinstance(piece, ArchivedMessage):
            message = self._message(piece, self._conversation_id)
            self._last = self._new_ids[piece.number] = store.messages.insert(message, show=False)
        else:
            self._end(store, piece, self._conversation_id)
            self.ids.append(self._conversation_id)
            self._conversation_id, self._new_ids, self._last = None, {None: None}, None

    def _message(self, piece: ArchivedMessage, conversation_id: int) -> ChatMessage:
        if piece.number in self._new_ids or piece.parent not in self._new_ids:
            raise ArchiveUnreadable(detail=f"message {piece.number} has no place")
        return ChatMessage(
            id=0,
            conversation_id=conversation_id,
            parent_id=self._new_ids[piece.parent],
            **{name: getattr(piece, name) for name in _ALIKE},
        )

    def _end(self, store: Store, archived: ArchivedConversation, conversation_id: int) -> None:
        if archived.shown not in self._new_ids:
            raise ArchiveUnreadable(detail="the message shown is missing")
        settings = ConversationSettings(
            archived.model_path, archived.system_prompt, archived.sampling
        )
        store.conversations.save_settings(conversation_id, settings)
        if archived.folder.strip():
            self._folders[archived.folder].append(conversation_id)
        shown = self._new_ids[archived.shown] or self._last
        store.messages.end_branch(conversation_id, shown)
        store.conversations.rename(conversation_id, archived.title)
        if archived.updated_at:
            store.conversations.set_times(conversation_id, archived.created_at, archived.updated_at)

    def finish(self, store: Store) -> None:
        """Put all that is whole into the folders of their names, and let it be seen."""
        with store.transaction():
            for name, ids in self._folders.items():
                store.folders.move(ids, store.folders.named(name))
            store.conversations.restore(*self.ids)


def export_json(store: Store, file: Path, conversation_ids: Sequence[int] = ()) -> int:
    """Write conversations, all where none is named, with their branches; returns how many.

    Raises ArchiveNotWritten.
    """
    # One at a time: the interpreter is held while pydantic writes, and the window waits for it.
    conversations = [
        archived_conversation(store, key).model_dump_json()
        for key in _chosen(store, conversation_ids)
    ]
    start = f'{{"format":"{FORMAT}","version":{VERSION},"conversations":[\n'
    write_export(file, (start + ",\n".join(conversations) + "\n]}").encode())
    return len(conversations)


def export_markdown(store: Store, file: Path, conversation_ids: Sequence[int] = ()) -> int:
    """Write the shown branches of conversations as Markdown; returns how many.

    Raises ArchiveNotWritten.
    """
    conversations = [markdown_of(store, key) for key in _chosen(store, conversation_ids)]
    write_export(file, ("\n\n---\n\n".join(conversations) + "\n").encode())
    return len(conversations)


def export_prompts(store: Store, file: Path) -> None:
    """Write the library of prompts. Raises ArchiveNotWritten."""
    prompts = PromptFile(prompts=list(store.prompts.all()))
    write_export(file, prompts.model_dump_json(indent=2).encode())


def _chosen(store: Store, conversation_ids: Sequence[int]) -> Sequence[int]:
    return conversation_ids or [info.id for info in store.conversations.infos()]


def markdown_of(store: Store, conversation_id: int) -> str:
    """The shown branch of a conversation: a title, and each message under a heading."""
    title = store.conversations.get(conversation_id).title
    messages = store.messages.path(conversation_id)
    return "\n\n".join([f"# {title}", *(_section(message) for message in messages)])


def _section(message: ChatMessage) -> str:
    heading = _HEADINGS[message.role]
    if message.model_name:
        heading += f" ({message.model_name})"
    parts = [f"## {heading}"]
    if message.thinking.strip():
        quoted = "\n".join(f"> {line}".rstrip() for line in message.thinking.strip().splitlines())
        parts.append(quoted)
    for attachment in message.attachments:
        content = _fenced(attachment.content) if attachment.content else ""
        parts.append(f"**{attachment.name}**\n\n{content}".rstrip())
    parts.append(message.content.strip())
    if (sources := message.sources) is not None:
        text = sources.text(message.content)
        parts.append(
            f"**{sources.summary(message.content)}**\n\n{_fenced(text) if text else ''}".rstrip()
        )
    return "\n\n".join(part for part in parts if part)


def _fenced(text: str) -> str:
    """`text` as a code block, with a fence longer than any in it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}\n{text.rstrip()}\n{fence}"


def write_export(file: Path, data: bytes) -> None:
    """Write a file in one step. Raises ArchiveNotWritten."""
    try:
        write_atomically(file, data)
    except OSError as problem:
        raise ArchiveNotWritten(path=str(file), detail=problem.strerror or "") from problem
