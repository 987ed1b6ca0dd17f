"""Conversations and their folders: lists, titles, trash, drafts, settings; values kept by name."""

import json
import time
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from deepseek_r1.core import log
from deepseek_r1.core.settings import SamplingSettings
from r1desk.store.attachment_store import AttachmentStore, Documents
from r1desk.store.database import Database, Row, transactional
from r1desk.store.records import ConversationInfo, ConversationSettings, FolderInfo
from r1desk.store.stored_text import (
    clean,
    json_of,
    one_line,
    parsed,
    text_of,
    title_from,
)

_DRAFT_OF_NEW_CHAT = "draft of the new chat"
_PINNED = "pinned conversations"
_FOLDED = "folded folders"
FOLDER_NAME_CHARACTERS = 60
_DAY_S = 86_400.0
PURGED_AT_ONCE = 50
_HIDDEN = 0.0  # in the trash since then: `purge_trash` deletes what was never shown
# Texts are read as bytes: a flipped bit must not make a whole list unreadable.
# In the order of the fields of ConversationInfo.
_INFO = """id, CAST(title AS BLOB), created_at, updated_at, CAST(model_path AS BLOB), trashed_at,
    CAST(preview AS BLOB), folder_id, unread"""

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


class KeyValueStore:
    """JSON values by name."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, key: str, default: Json = None) -> Json:
        row = self._db.first(
            "SELECT CAST(value_json AS BLOB) FROM remembered WHERE key = ?", (key,)
        )
        if row is None:
            return default
        try:
            value: Json = json.loads(row[0])
        except ValueError:
            log.store.warning("the value of %r is unreadable", key)
            return default
        return value

    def set(self, key: str, value: object) -> None:
        """Keep a JSON value under `key`; None deletes it."""
        if value is None:
            self._db.execute("DELETE FROM remembered WHERE key = ?", (key,))
            return
        self._db.execute(
            "INSERT INTO remembered (key, value_json) VALUES (?, ?) "
            "ON CONFLICT (key) DO UPDATE SET value_json = excluded.value_json",
            (key, json.dumps(value)),
        )

    def ids(self, key: str) -> Set[int]:
        stored = self.get(key)
        return {each for each in stored if type(each) is int} if isinstance(stored, list) else set()

    def mark(self, key: str, ids: Iterable[int], marked: bool) -> None:
        self.set(key, sorted(self.ids(key) | {*ids} if marked else self.ids(key) - {*ids}))


class ConversationStore:
    """Conversations as a whole: made, listed, renamed, trashed, deleted; drafts and settings."""

    def __init__(self, db: Database, key_value: KeyValueStore) -> None:
        self._db, self._key_value = db, key_value

    @transactional
    def create(
        self,
        settings: ConversationSettings | None = None,
        *,
        folder_id: int | None = None,
        hidden: bool = False,
    ) -> ConversationInfo:
        """A new, empty conversation. It gets its title with the first message.

        A `hidden` one is in no list, not even the trash's, until `restore`.
        """
        now = time.time()
        (key,) = self._db.execute(
            "INSERT INTO conversations (created_at, updated_at, trashed_at, folder_id) "
            "VALUES (?, ?, ?, ?) RETURNING id",
            (now, now, _HIDDEN if hidden else None, folder_id),
        )[0]
        self.save_settings(key, settings or ConversationSettings())
        return self.get(key)

    def get(self, conversation_id: int) -> ConversationInfo:
        """One conversation, trashed or not. Raises LookupError for an unknown id."""
        row = self._db.first(f"SELECT {_INFO} FROM conversations WHERE id = ?", (conversation_id,))  # noqa: S608
        if row is None:
            raise LookupError(f"no conversation {conversation_id}")
        return _info(row, pinned=conversation_id in self._key_value.ids(_PINNED))

    def infos(self, *, trashed: bool = False) -> list[ConversationInfo]:
        """All conversations outside (or inside) the trash: pinned ones first, then the latest."""
        where = f"> {_HIDDEN}" if trashed else "IS NULL"
        rows = self._db.execute(
            f"SELECT {_INFO} FROM conversations WHERE trashed_at {where} "  # noqa: S608
            "ORDER BY updated_at DESC, id DESC"
        )
        pinned = self._key_value.ids(_PINNED)
        infos = [_info(row, pinned=row[0] in pinned) for row in rows]
        return sorted(infos, key=lambda info: not info.pinned)

    def latest_of(self, conversation_ids: Sequence[int]) -> int:
        """The one of these that was changed last; the first where none is in the list any more."""
        listed = (info.id for info in self.infos() if info.id in conversation_ids)
        return next(listed, conversation_ids[0])

    @transactional
    def rename(self, conversation_id: int, title: str) -> None:
        """Give a title by hand. An empty one goes back to the title from the first message."""
        chosen = one_line(clean(title), 200)
        self.get(conversation_id)
        if not chosen:
            first = self._db.first(
                "SELECT CAST(content AS BLOB) FROM messages WHERE conversation_id = ? "
                "AND parent_id IS NULL ORDER BY id DESC LIMIT 1",
                (conversation_id,),
            )
            title_by_rule = title_from(text_of(first[0])) if first else ""
        self._db.execute(
            "UPDATE conversations SET title = ?, title_set_by_user = ? WHERE id = ?",
            (chosen or title_by_rule, int(bool(chosen)), conversation_id),
        )

    def set_times(self, conversation_id: int, created_at: float, updated_at: float) -> None:
        """Date a conversation that was written elsewhere; seconds since the epoch."""
        self._db.execute(
            "UPDATE conversations SET created_at = ?, updated_at = ? WHERE id = ?",
            (created_at, updated_at, conversation_id),
        )

    def set_pinned(self, conversation_ids: Iterable[int], pinned: bool) -> None:
        self._key_value.mark(_PINNED, conversation_ids, pinned)

    def set_unread(self, conversation_id: int, unread: bool) -> None:
        """Mark that an answer was finished which nobody has looked at yet, or that it was seen."""
        self._db.execute(
            "UPDATE conversations SET unread = ? WHERE id = ? AND unread <> ?",
            (int(unread), conversation_id, int(unread)),
        )

    # ---- trash ------------------------------------------------------------------------------

    def trash(self, *conversation_ids: int) -> None:
        """Put conversations into the trash; they are in no list and no search any more."""
        self._db.execute(
            "UPDATE conversations SET trashed_at = ? "
            "WHERE id IN (SELECT value FROM json_each(?)) AND trashed_at IS NULL",
            (time.time(), json.dumps(conversation_ids)),
        )

    def restore(self, *conversation_ids: int) -> None:
        """Take conversations out of the trash; hidden ones can be seen from now on."""
        self._db.execute(
            "UPDATE conversations SET trashed_at = NULL "
            "WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(conversation_ids),),
        )

    def purge_trash(self, older_than_days: float = 30.0) -> int:
        """Delete for good some of what was trashed that long ago; returns how many; 0 is the end.

        Others use the store between the calls.
        """
        before = time.time() - older_than_days * _DAY_S
        return self._purge("trashed_at <= ?", before, most=PURGED_AT_ONCE)

    def purge(self, conversation_ids: Iterable[int], most: int = -1) -> int:
        """Delete these conversations for good, as far as they are in the trash or hidden.

        At `most` so many; returns how many.
        """
        chosen = json.dumps(list(conversation_ids))
        return self._purge(
            "trashed_at IS NOT NULL AND id IN (SELECT value FROM json_each(?))", chosen, most
        )

    def _purge(self, condition: str, value: float | str, most: int = -1) -> int:
        """Delete what meets a condition of ours. The text is overwritten, not only unlinked.

        At `most` so many, where it is not negative. A conversation whose answer is still being
        written is left for the next time.
        """
        chosen = (
            f"(SELECT id FROM conversations AS c WHERE {condition} AND NOT EXISTS ("  # noqa: S608
            "SELECT 1 FROM messages WHERE state = 'streaming' AND conversation_id = c.id)"
            " ORDER BY id LIMIT ?)"
        )
        with self._db.transaction():
            # Messages leave their parents first: SQLite follows a branch only so deep.
            self._db.execute(
                "UPDATE messages SET parent_id = NULL "  # noqa: S608
                f"WHERE conversation_id IN {chosen}",
                (value, most),
            )
            gone = self._db.execute(
                f"DELETE FROM conversations WHERE id IN {chosen} RETURNING id",  # noqa: S608
                (value, most),
            )
        if gone:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return len(gone)

    # ---- drafts and settings ----------------------------------------------------------------

    def draft(self, conversation_id: int | None) -> str:
        """The unsent text of a conversation, or of the new chat for None."""
        if conversation_id is None:
            return str(self._key_value.get(_DRAFT_OF_NEW_CHAT, ""))
        row = self._db.first(
            "SELECT CAST(draft AS BLOB) FROM conversations WHERE id = ?", (conversation_id,)
        )
        return text_of(row[0]) if row else ""

    def save_draft(self, conversation_id: int | None, text: str) -> None:
        """Keep unsent text; an empty one removes it."""
        if conversation_id is None:
            self._key_value.set(_DRAFT_OF_NEW_CHAT, clean(text))
            return
        self._db.execute(
            "UPDATE conversations SET draft = ? WHERE id = ?", (clean(text), conversation_id)
        )

    def settings(self, conversation_id: int) -> ConversationSettings:
        row = self._db.first(
            "SELECT CAST(model_path AS BLOB), CAST(system_prompt AS BLOB), "
            "CAST(sampling_json AS BLOB) FROM conversations WHERE id = ?",
            (conversation_id,),
        )
        if row is None:
            raise LookupError(f"no conversation {conversation_id}")
        return settings_of(*row)

    def save_settings(self, conversation_id: int, settings: ConversationSettings) -> None:
        self._db.execute(
            "UPDATE conversations SET model_path = ?, system_prompt = ?, sampling_json = ? "
            "WHERE id = ?",
            (*kept_settings(settings), conversation_id),
        )


@dataclass(frozen=True, slots=True)
class DeletedFolder:
    """A folder that was deleted, with what was in it."""

    folder: FolderInfo
    inside: tuple[int, ...]  # ids of conversations
    documents: Documents


class FolderStore:
    """One level of folders. A conversation is in one of them, or in none."""

    def __init__(
        self, db: Database, key_value: KeyValueStore, attachments: AttachmentStore
    ) -> None:
        self._db, self._key_value, self._attachments = db, key_value, attachments

    def infos(self) -> list[FolderInfo]:
        rows = self._db.execute(
            "SELECT id, CAST(name AS BLOB), CAST(model_path AS BLOB), "
            "CAST(system_prompt AS BLOB), CAST(sampling_json AS BLOB) FROM folders ORDER BY id"
        )
        folded = self._key_value.ids(_FOLDED)
        return [
            FolderInfo(key, text_of(name), settings_of(*settings), folded=key in folded)
            for key, name, *settings in rows
        ]

    @transactional
    def create(self, name: str, conversation_ids: Iterable[int] = ()) -> int:
        """A new folder with these conversations in it; returns its id."""
        key = int(
            self._db.execute(
                "INSERT INTO folders (name) VALUES (?) RETURNING id", (_kept_name(name),)
            )[0][0]
        )
        self.move(conversation_ids, key)
        return key

    def named(self, name: str) -> int:
        """The folder of this name, made where there is none."""
        kept = _kept_name(name)
        return next((each.id for each in self.infos() if each.name == kept), 0) or self.create(name)

    def save(self, folder: FolderInfo) -> None:
        """Replace the name and the settings of a folder; one that was deleted is made anew."""
        self._db.execute(
            "INSERT INTO folders (id, name, model_path, system_prompt, sampling_json) "
            "VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name, "
            "model_path = excluded.model_path, system_prompt = excluded.system_prompt, "
            "sampling_json = excluded.sampling_json",
            (folder.id, _kept_name(folder.name), *kept_settings(folder.settings)),
        )

    def move(self, conversation_ids: Iterable[int], folder_id: int | None) -> None:
        """Put conversations into a folder; None takes them out."""
        self._db.execute(
            "UPDATE conversations SET folder_id = ? WHERE id IN (SELECT value FROM json_each(?))",
            (folder_id, json.dumps(list(conversation_ids))),
        )

    @transactional
    def delete(self, folder: FolderInfo) -> DeletedFolder:
        """Delete a folder with its documents. Its conversations are in none then."""
        inside = self._db.execute("SELECT id FROM conversations WHERE folder_id = ?", (folder.id,))
        documents = self._attachments.of_folder(folder.id)
        self._db.execute("DELETE FROM folders WHERE id = ?", (folder.id,))
        return DeletedFolder(folder, tuple(key for (key,) in inside), documents)

    @transactional
    def restore(self, deleted: DeletedFolder) -> None:
        """Bring a deleted folder back."""
        self.save(deleted.folder)
        self._attachments.add_to_folder(deleted.folder.id, *deleted.documents)
        self.move(deleted.inside, deleted.folder.id)

    def set_folded(self, folder_id: int, folded: bool) -> None:
        self._key_value.mark(_FOLDED, [folder_id], folded)


def _kept_name(name: str) -> str:
    return one_line(clean(name), FOLDER_NAME_CHARACTERS)


def settings_of(path: bytes, prompt: bytes, sampling: bytes | None) -> ConversationSettings:
    """Settings from the columns of a conversation or a folder."""
    return ConversationSettings(text_of(path), text_of(prompt), parsed(SamplingSettings, sampling))


def kept_settings(settings: ConversationSettings) -> tuple[str, str, str | None]:
    """Settings as the columns have them."""
    return clean(settings.model_path), clean(settings.system_prompt), json_of(settings.sampling)


def _info(row: Row, *, pinned: bool) -> ConversationInfo:
    values: Any = (text_of(value) if isinstance(value, bytes) else value for value in row)
    info = ConversationInfo(*values)
    return replace(info, unread=bool(info.unread), pinned=pinned)
