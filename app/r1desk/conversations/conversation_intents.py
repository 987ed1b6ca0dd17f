"""Intents: each is something that a person asks for in the list of conversations."""

from __future__ import annotations

from dataclasses import dataclass


class ConversationIntent:
    """The base of all; each is a frozen dataclass."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class NewChat(ConversationIntent):
    """Show an empty conversation."""


@dataclass(frozen=True, slots=True)
class OpenConversation(ConversationIntent):
    """Show a conversation, at its end; a search hit at a `message` (0: none) with the `query`."""

    conversation: int
    message: int = 0
    query: str = ""


@dataclass(frozen=True, slots=True)
class RenameConversation(ConversationIntent):
    """Give it another title."""

    conversation: int
    title: str


@dataclass(frozen=True, slots=True)
class NameConversation(ConversationIntent):
    """Have the loaded model write a title for it."""

    conversation: int


@dataclass(frozen=True, slots=True)
class TrashConversation(ConversationIntent):
    """Move it to the trash."""

    conversation: int


@dataclass(frozen=True, slots=True)
class PinConversation(ConversationIntent):
    """Keep it at the top of the list, or no longer."""

    conversation: int
    pinned: bool


@dataclass(frozen=True, slots=True)
class DuplicateConversation(ConversationIntent):
    """Copy it with all its versions."""

    conversation: int


@dataclass(frozen=True, slots=True)
class ExportConversations(ConversationIntent):
    """Write one conversation, or all for None, to a file."""

    conversation: int | None = None


@dataclass(frozen=True, slots=True)
class ImportConversations(ConversationIntent):
    """Read conversations from a file."""


@dataclass(frozen=True, slots=True)
class ShowTrash(ConversationIntent):
    """Open the trash."""


@dataclass(frozen=True, slots=True)
class SearchConversations(ConversationIntent):
    """Find conversations with these words."""

    query: str
