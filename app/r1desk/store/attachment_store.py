"""Files that go with messages, and with drafts that are not sent yet."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from r1desk.store.database import Database, transactional
from r1desk.store.records import Attachment
from r1desk.store.stored_text import clean, text_of

_COLUMNS = "name, content, tokens, sha256, pages, searched"
_FIELDS = "CAST(name AS BLOB), CAST(content AS BLOB), tokens, sha256, pages, searched"
_OF_DRAFT = "message_id IS NULL AND folder_id IS NULL AND conversation_id IS ?"

Documents = tuple[Attachment, ...]  # each with a `sha256`


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
        for message_id, *fields in rows:
            found[message_id] = (*found.get(message_id, ()), _attachment(*fields))
        return found

    @transactional
    def add(self, message_id: int, attachments: Sequence[Attachment]) -> None:
        self._insert("message_id", message_id, attachments)

    def drafts(self, conversation_id: int | None) -> tuple[Attachment, ...]:
        """The files attached to the unsent text of a conversation, or of the new chat for None."""
        return self._where(_OF_DRAFT, conversation_id)

    def _where(self, condition: str, value: int | None) -> tuple[Attachment, ...]:
        rows = self._db.execute(
            f"SELECT {_FIELDS} FROM attachments WHERE {condition} ORDER BY id",  # noqa: S608
            (value,),
        )
        return tuple(_attachment(*fields) for fields in rows)

    @transactional
    def save_drafts(self, conversation_id: int | None, attachments: Sequence[Attachment]) -> None:
        self._db.execute(f"DELETE FROM attachments WHERE {_OF_DRAFT}", (conversation_id,))  # noqa: S608
        self._insert("conversation_id", conversation_id, attachments)

    # ---- documents

    def documents(self, conversation_id: int | None, folder_id: int | None) -> Documents:
        """The documents of a folder, then those of a conversation's messages, each once.

        What is attached next comes last: what was read before it stays as it was read.
        """
        mine = self._where(
            "sha256 <> '' AND message_id IN (SELECT id FROM messages WHERE conversation_id = ?)",
            conversation_id,
        )
        shared = self.of_folder(folder_id) if folder_id is not None else ()
        return tuple({each.sha256: each for each in (*shared, *mine)}.values())

    def of_folder(self, folder_id: int) -> Documents:
        return self._where("folder_id = ?", folder_id)

    def every(self) -> Documents:
        """All documents of all conversations and folders, each once."""
        found = self._where("sha256 <> '' AND ?1 IS NULL", None)
        return tuple({each.sha256: each for each in found}.values())

    @transactional
    def add_to_folder(self, folder_id: int, *documents: Attachment) -> None:
        """Add documents to a folder, unless it has them."""
        there = {each.sha256 for each in self.of_folder(folder_id)}
        self._insert("folder_id", folder_id, [d for d in documents if d.sha256 not in there])

    def drop_document(
        self, sha256: str, folder_id: int | None = None, conversation_id: int | None = None
    ) -> None:
        """Take a document out of a folder, or of a conversation's messages; else out of all."""
        self._db.execute(
            "DELETE FROM attachments WHERE sha256 = ?1 AND (?2 IS NULL OR folder_id = ?2) AND "
            "(?3 IS NULL OR message_id IN (SELECT id FROM messages WHERE conversation_id = ?3))",
            (sha256, folder_id, conversation_id),
        )

    def set_searched(
        self,
        sha256s: Iterable[str],
        conversation_id: int | None,
        folder_id: int | None,
        searched: bool,
    ) -> None:
        """Have documents of a conversation or a folder searched, or read whole."""
        self._db.execute(
            "UPDATE attachments SET searched = ?1 "
            "WHERE sha256 IN (SELECT value FROM json_each(?2)) AND ("
            "message_id IN (SELECT id FROM messages WHERE conversation_id = ?3) OR folder_id = ?4)",
            (searched, json.dumps(list(sha256s)), conversation_id, folder_id),
        )

    def replace_document(self, old: str, new: Attachment) -> None:
        """Let folders have a file's new text in place of what it was before."""
        self._db.execute(
            "UPDATE attachments SET sha256 = ?, pages = ?, tokens = ? "
            "WHERE folder_id IS NOT NULL AND sha256 = ?",
            (new.sha256, new.pages, new.tokens, old),
        )

    def in_folders(self) -> set[str]:
        return {each.sha256 for each in self._where("folder_id IS NOT ?", None)}

    def used_documents(self) -> set[str]:
        """The hashes of all documents that anything still has, the trash too."""
        return {each.sha256 for each in self.every()}

    def _insert(self, owner: str, owner_id: int | None, attachments: Sequence[Attachment]) -> None:
        for each in attachments:
            texts = clean(each.name), clean(each.content)
            self._db.execute(
                f"INSERT INTO attachments ({owner}, {_COLUMNS}) "  # noqa: S608
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (owner_id, *texts, each.tokens, each.sha256, each.pages, each.searched),
            )


def _attachment(name: bytes, content: bytes, *numbers: Any) -> Attachment:
    tokens, sha256, pages, searched = numbers
    return Attachment(text_of(name), text_of(content), tokens, sha256, pages, bool(searched))
