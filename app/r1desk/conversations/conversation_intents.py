"""Intents: each is something that a person asks for in the list of conversations."""

from __future__ import annotations

from dataclasses import dataclass


class ConversationIntent:
    """The base of all; each is a frozen dataclass."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class NewChat(ConversationIntent):
    """Show an empty conversation, in the folder that is current in the list."""


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
class TrashConversations(ConversationIntent):
    """Move them to the trash."""

    conversations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PinConversations(ConversationIntent):
    """Keep them at the top of the list, or no longer."""

    conversations: tuple[int, ...]
    pinned: bool


@dataclass(frozen=True, slots=True)
class ExportConversations(ConversationIntent):
    """Write conversations, all where none is named, to one file."""

    conversations: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class NewFolder(ConversationIntent):
    """Make a folder with these conversations in it, and let its name be typed."""

    conversations: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class MoveToFolder(ConversationIntent):
    """Put conversations into a folder; None takes them out."""

    conversations: tuple[int, ...]
    folder: int | None


@dataclass(frozen=True, slots=True)
class FoldFolder(ConversationIntent):
    """Remember whether the list shows what is in it."""

    folder: int
    folded: bool


@dataclass(frozen=True, slots=True)
class RenameFolder(ConversationIntent):
    """Give it another name."""

    folder: int
    name: str


@dataclass(frozen=True, slots=True)
class SetFolderSettings(ConversationIntent):
    """Let its new conversations begin as the one on the screen, or as everywhere else."""

    folder: int
    as_shown: bool


@dataclass(frozen=True, slots=True)
class ShowFolderDocuments(ConversationIntent):
    """Show the documents that all chats of a folder have, to be changed."""

    folder: int


@dataclass(frozen=True, slots=True)
class DeleteFolder(ConversationIntent):
    """Delete it; what is in it stays in the list, or goes to the trash where that is asked for."""

    folder: int


@dataclass(frozen=True, slots=True)
class ImportConversations(ConversationIntent):
    """Read conversations from a file."""


@dataclass(frozen=True, slots=True)
class ShowTrash(ConversationIntent):
    """Show in the list what is in the trash."""


@dataclass(frozen=True, slots=True)
class RestoreConversations(ConversationIntent):
    """Take them out of the trash."""

    conversations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PurgeConversations(ConversationIntent):
    """Delete them for good, once the user has confirmed it."""

    conversations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SearchConversations(ConversationIntent):
    """Find conversations with these words."""

    query: str
