"""Files that go with messages, and with drafts that are not sent yet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from r1desk.store.database import Database, transactional
from r1desk.store.records import Attachment
from r1desk.store.stored_text import clean, text_of

_FIELDS = "tokens, CAST(name AS BLOB), CAST(content AS BLOB)"


class AttachmentStore:
    """The attachments of all messages and drafts. They are deleted with what they belong to."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def of_messages(self, message_ids: Iterable[int]) -> dict[int, tuple[Attachment, ...]]:
        """The attachments of messages in their order; a message without any is left out."""
        rows = self._db.execute(
            f"SELECT message_id, {_FIELDS} FROM attachments "  # noqa: S608
            "WHERE message_id IN (SELECT value FROM json_each(?)) ORDER BY id",
            (json.dumps(list(message_ids)),),
        )
        found: dict[int, tuple[Attachment, ...]] = {}
        for message_id, tokens, name, content in rows:
            attachment = Attachment(text_of(name), text_of(content), tokens)
            found[message_id] = (*found.get(message_id, ()), attachment)
        return found

    @transactional
    def add(self, message_id: int, attachments: Sequence[Attachment]) -> None:
        """Store files with a message."""
        self._insert("message_id", message_id, attachments)

    def drafts(self, conversation_id: int | None) -> tuple[Attachment, ...]:
        """The files attached to the unsent text of a conversation, or of the new chat for None."""
        rows = self._db.execute(
            f"SELECT {_FIELDS} FROM attachments "  # noqa: S608
            "WHERE message_id IS NULL AND conversation_id IS ? ORDER BY id",
            (conversation_id,),
        )
        return tuple(
            Attachment(text_of(name), text_of(content), tokens) for tokens, name, content in rows
        )

    @transactional
    def save_drafts(self, conversation_id: int | None, attachments: Sequence[Attachment]) -> None:
        """Replace the files attached to unsent text."""
        self._db.execute(
            "DELETE FROM attachments WHERE message_id IS NULL AND conversation_id IS ?",
            (conversation_id,),
        )
        self._insert("conversation_id", conversation_id, attachments)

    def _insert(self, owner: str, owner_id: int | None, attachments: Sequence[Attachment]) -> None:
        for attachment in attachments:
            self._db.execute(
                f"INSERT INTO attachments ({owner}, name, content, tokens) "  # noqa: S608
                "VALUES (?, ?, ?, ?)",
                (owner_id, clean(attachment.name), clean(attachment.content), attachment.tokens),
            )
