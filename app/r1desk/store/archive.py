"""Conversations as a JSON document, for a backup or another computer.

A document comes from outside: it is checked whole before anything of it is stored.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from deepseek_r1.core.events import GenerationStats
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import Role
from deepseek_r1.core.settings import SamplingSettings
from r1desk.store.errors import ArchiveUnreadable
from r1desk.store.records import Attachment, ChatMessage, ConversationSettings, MessageState
from r1desk.store.store import Store

FORMAT = "r1desk-conversations"
MAX_BYTES = 512 * 2**20
LATEST_S = 1e11  # a time later than this, in seconds since the epoch, is no time
Seconds = Annotated[float, Field(ge=0, le=LATEST_S)]


class _ArchivePart(BaseModel):
    model_config = ConfigDict(frozen=True, defer_build=True)


class ArchivedAttachment(_ArchivePart):
    """The text of a file that goes with a message."""

    name: str
    content: str
    tokens: Annotated[int, Field(ge=0, le=2**31)] = 0


class ArchivedMessage(_ArchivePart):
    """A message; `parent` is the number of an earlier one, None at the beginning."""

    number: Annotated[int, Field(ge=0)]
    parent: int | None = None
    role: Role
    state: Literal["complete", "stopped", "failed"] = "complete"
    created_at: Seconds = 0.0
    content: str = ""
    thinking: str = ""
    thinking_s: Seconds = 0.0
    model_name: str = ""
    stats: GenerationStats | None = None
    attachments: tuple[ArchivedAttachment, ...] = ()
    edited: bool = False
    memory_start: bool = False


class ArchivedConversation(_ArchivePart):
    """A conversation with all its branches; `shown` is the last message of the one shown."""

    title: str = ""
    created_at: Seconds = 0.0
    updated_at: Seconds = 0.0
    model_path: str = ""
    system_prompt: str = ""
    sampling: SamplingSettings | None = None
    shown: int | None = None
    messages: tuple[ArchivedMessage, ...] = ()

    @model_validator(mode="after")
    def _is_a_tree(self) -> ArchivedConversation:
        known: set[int | None] = {None}
        for message in self.messages:
            if message.number in known or message.parent not in known:
                raise ValueError(f"message {message.number} has no place")
            known.add(message.number)
        if self.shown not in known:
            raise ValueError("the message shown is missing")
        return self


class Archive(_ArchivePart):
    """The whole document."""

    format: Literal["r1desk-conversations"] = "r1desk-conversations"
    version: Literal[1] = 1
    conversations: tuple[ArchivedConversation, ...]


def archive_of(store: Store, conversation_ids: list[int] | None = None) -> Archive:
    """These conversations, or all outside the trash. Raises LookupError for an unknown id."""
    if conversation_ids is None:
        conversation_ids = [info.id for info in store.conversations.infos()]
    return Archive(conversations=tuple(_conversation(store, key) for key in conversation_ids))


def _conversation(store: Store, conversation_id: int) -> ArchivedConversation:
    info = store.conversations.get(conversation_id)
    settings = store.conversations.settings(conversation_id)
    path = store.messages.path(conversation_id)
    return ArchivedConversation(
        title=info.title,
        created_at=info.created_at,
        updated_at=info.updated_at,
        model_path=settings.model_path,
        system_prompt=settings.system_prompt,
        sampling=settings.sampling,
        shown=path[-1].id if path else None,
        messages=tuple(_message(node) for node in store.messages.all_of(conversation_id)),
    )


def _message(node: ChatMessage) -> ArchivedMessage:
    unfinished = node.state is MessageState.STREAMING
    return ArchivedMessage(
        number=node.id,
        parent=node.parent_id,
        role=node.role,
        state="stopped" if unfinished else node.state.value,
        created_at=node.created_at,
        content=node.content,
        thinking=node.thinking,
        thinking_s=node.thinking_s,
        model_name=node.model_name,
        stats=node.stats,
        attachments=tuple(
            ArchivedAttachment(name=a.name, content=a.content, tokens=a.tokens)
            for a in node.attachments
        ),
        edited=node.edited,
        memory_start=node.memory_start,
    )


def parse_archive(document: bytes) -> Archive:
    """Read a document. Raises ArchiveUnreadable where it is none, or does not fit together."""
    try:
        return Archive.model_validate_json(document)
    except ValidationError as problem:
        raise ArchiveUnreadable(detail=_what_was_found(problem)) from problem


def _what_was_found(problem: ValidationError) -> str:
    errors = problem.errors(include_url=False, include_input=False)
    places = {error["loc"] for error in errors}
    if places & {(), ("format",), ("conversations",)}:
        return tr("another kind of file")
    if ("version",) in places:
        return tr("the form of another version of this application")
    where = "/".join(str(part) for part in errors[0]["loc"])
    return f"{where}: {errors[0]['msg']}"


def restore_archive(store: Store, archive: Archive) -> list[int]:
    """Store all conversations of a document as new ones; returns their ids. All or nothing."""
    with store.transaction():
        return [_restore(store, conversation) for conversation in archive.conversations]


def without_stored(store: Store, archive: Archive) -> Archive:
    """The document without what is here already: the same messages from the same time."""
    here: dict[float, list[int]] = {}
    for info in store.conversations.infos():
        here.setdefault(info.created_at, []).append(info.id)

    def is_here(archived: ArchivedConversation) -> bool:
        wanted = [(m.role, m.created_at, m.thinking, m.content) for m in archived.messages]
        return any(
            wanted
            == [(m.role, m.created_at, m.thinking, m.content) for m in store.messages.all_of(key)]
            for key in here.get(archived.created_at, ())
        )

    new = tuple(each for each in archive.conversations if not is_here(each))
    return archive.model_copy(update={"conversations": new})


def duplicate(store: Store, conversation_id: int) -> int:
    """Store a copy of a conversation with all its branches; returns its id."""
    (key,) = restore_archive(store, archive_of(store, [conversation_id]))
    return key


def _restore(store: Store, archived: ArchivedConversation) -> int:
    key = store.conversations.create().id
    settings = ConversationSettings(archived.model_path, archived.system_prompt, archived.sampling)
    store.conversations.save_settings(key, settings)
    new_id: dict[int | None, int | None] = {None: None}
    for message in archived.messages:
        new_id[message.number] = store.messages.insert(
            ChatMessage(
                id=0,
                conversation_id=key,
                parent_id=new_id[message.parent],
                role=message.role,
                content=message.content,
                created_at=message.created_at,
                thinking=message.thinking,
                thinking_s=message.thinking_s,
                state=MessageState(message.state),
                stats=message.stats,
                model_name=message.model_name,
                attachments=tuple(
                    Attachment(a.name, a.content, a.tokens) for a in message.attachments
                ),
                edited=message.edited,
                memory_start=message.memory_start,
            ),
            show=False,
        )
    shown = archived.shown if archived.shown is not None else next(reversed(new_id))
    if shown is not None:
        store.messages.select_branch(new_id[shown])
    store.conversations.rename(key, archived.title)
    if archived.updated_at:
        store.conversations.set_times(key, archived.created_at, archived.updated_at)
    return key
