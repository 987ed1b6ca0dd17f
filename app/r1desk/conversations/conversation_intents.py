"""Intents: each is something that a person asks for in the list of conversations."""

from r1desk.chat.values.intents import Intent


class NewChat(Intent):
    """Show an empty conversation in a folder; in the one that is current in the list for None."""

    folder: int | None = None


class OpenConversation(Intent):
    """Show a conversation, at its end; a search hit at a `message` (0: none) with the `query`."""

    conversation: int
    message: int = 0
    query: str = ""


class RenameConversation(Intent):
    """Give it another title."""

    conversation: int
    title: str


class StopAnswerIn(Intent):
    """End the answer that is being written in it; what is there stays."""

    conversation: int


class NameConversation(Intent):
    """Have the loaded model write a title for it."""

    conversation: int


class TrashConversations(Intent):
    """Move them to the trash."""

    conversations: tuple[int, ...]


class PinConversations(Intent):
    """Keep them at the top of the list, or no longer."""

    conversations: tuple[int, ...]
    pinned: bool


class ExportConversations(Intent):
    """Write conversations, all where none is named, to one file."""

    conversations: tuple[int, ...] = ()


class NewFolder(Intent):
    """Make a folder with these conversations in it, and let its name be typed."""

    conversations: tuple[int, ...] = ()


class MoveToFolder(Intent):
    """Put conversations into a folder; None takes them out."""

    conversations: tuple[int, ...]
    folder: int | None


class FoldFolder(Intent):
    """Remember whether the list shows what is in it."""

    folder: int
    folded: bool


class FolderIntent(Intent):
    """Do something with a folder, unless it has gone."""

    folder: int


class RenameFolder(FolderIntent):
    """Give it another name."""

    name: str


class SetFolderSettings(FolderIntent):
    """Let its new conversations begin as the one on the screen, or as everywhere else."""

    as_shown: bool


class ShowFolderDocuments(FolderIntent):
    """Show the documents that all chats of a folder have, to be changed."""


class DeleteFolder(FolderIntent):
    """Delete it; what is in it stays in the list."""


class ImportConversations(Intent):
    """Read conversations from a file."""


class ShowTrash(Intent):
    """Show in the list what is in the trash."""


class RestoreConversations(Intent):
    """Take them out of the trash."""

    conversations: tuple[int, ...]


class PurgeConversations(Intent):
    """Delete them for good, once the user has confirmed it."""

    conversations: tuple[int, ...]


class SearchConversations(Intent):
    """Find conversations with these words."""

    query: str
