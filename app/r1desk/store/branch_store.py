"""Branches of conversations: deleted and brought back, changed by hand, copied into a new chat."""

import json
from dataclasses import dataclass, replace

from r1desk.store.conversation_store import ConversationStore
from r1desk.store.database import Database, Row, transactional
from r1desk.store.message_store import MessageStore
from r1desk.store.records import ChatMessage, MessageState

_DOWN = """WITH RECURSIVE down (id) AS (SELECT ? UNION ALL
        SELECT m.id FROM down JOIN messages AS m ON m.parent_id = down.id)"""


@dataclass(frozen=True, slots=True)
class DeletedBranch:
    """Everything needed to bring a message and all below it back, as the rows of the tables."""

    conversation_id: int
    head: int | None  # the last message shown before
    rows: dict[str, list[Row]]


class BranchStore:
    """Changes of the tree of messages that the user may take back."""

    def __init__(
        self, db: Database, messages: MessageStore, conversations: ConversationStore
    ) -> None:
        self._db, self._messages, self._conversations = db, messages, conversations

    @transactional
    def delete(self, message_id: int) -> DeletedBranch:
        """Delete a message and all below it; another version, else what is above, is shown.

        Raises LookupError for an unknown id.
        """
        message = self._messages.get(message_id)
        conversation = message.conversation_id
        path = self._messages.path(conversation)
        siblings = self._messages.siblings(message_id)
        below = self._db.execute(f"{_DOWN} SELECT id FROM down", (message_id,))  # noqa: S608
        keys = json.dumps([key for (key,) in below])
        deleted = DeletedBranch(
            conversation,
            path[-1].id if path else None,
            {
                "messages": self._rows("messages", "id", keys),
                "attachments": self._rows("attachments", "message_id", keys),
            },
        )
        self._db.execute(
            "UPDATE messages SET shown_child_id = NULL WHERE shown_child_id = ?", (message_id,)
        )
        for change in ("UPDATE messages SET parent_id = NULL", "DELETE FROM messages"):
            # Messages leave their parents first: SQLite follows a branch only so deep.
            chosen = "WHERE id IN (SELECT value FROM json_each(?))"
            self._db.execute(f"{change} {chosen}", (keys,))
        place = siblings.index(message_id)
        others = siblings[:place][-1:] or siblings[place + 1 :][:1]
        if others:
            self._messages.select_branch(others[0])
        else:
            self._messages.end_branch(conversation, message.parent_id)
        return deleted

    @transactional
    def restore(self, deleted: DeletedBranch) -> None:
        """Bring a deleted branch back, with its ids, and show what was shown before."""
        for table, rows in deleted.rows.items():
            for row in rows:
                places = ", ".join("?" * len(row))
                self._db.execute(f"INSERT INTO {table} VALUES ({places})", row)  # noqa: S608
        self._messages.end_branch(deleted.conversation_id, deleted.head)

    @transactional
    def add_edited(self, message_id: int, content: str) -> ChatMessage:
        """Store an answer with another text as one more version, marked as edited; show it."""
        answer = self._messages.get(message_id)
        edited = replace(
            answer,
            sources=answer.sources and answer.sources.of_answer(content),
            content=content,
            state=MessageState.COMPLETE,
            stats=None,
            error=None,
            edited=True,
            created_at=0.0,
        )
        return self._messages.get(self._messages.insert(edited))

    @transactional
    def copy_to_new(self, message_id: int, title: str) -> int:
        """A new conversation with the branch down to a message; returns its id.

        Of a user's message the text and the files become the draft, to be sent or changed.
        """
        path = self._messages.path_to(message_id)
        source = path[-1].conversation_id
        settings, info = self._conversations.settings(source), self._conversations.get(source)
        new = self._conversations.create(settings, folder_id=info.folder_id).id
        draft = path.pop() if path[-1].role.value == "user" else None
        parent = None
        for message in path:
            copy = replace(message, conversation_id=new, parent_id=parent)
            parent = self._messages.insert(copy, show=False)
        self._messages.end_branch(new, parent)
        if draft is not None:
            self._conversations.save_draft(new, draft.content)
            self._messages.attachments.save_drafts(new, draft.attachments)
        self._conversations.rename(new, title)
        return new

    def _rows(self, table: str, column: str, keys: str) -> list[Row]:
        return self._db.execute(
            f"SELECT * FROM {table} WHERE {column} IN "  # noqa: S608 - names of ours
            "(SELECT value FROM json_each(?)) ORDER BY id",
            (keys,),
        )
