"""Folders of conversations: made, listed, changed, deleted and brought back."""

from __future__ import annotations

import json
from collections.abc import Iterable

from deepseek_r1.core.settings import SamplingSettings
from r1desk.store.conversation_store import KeyValueStore
from r1desk.store.database import Database, transactional
from r1desk.store.records import ConversationSettings, FolderInfo
from r1desk.store.stored_text import clean, json_of, kept_path, one_line, parsed, text_of

NAME_CHARACTERS = 60
_FOLDED = "folded folders"


class FolderStore:
    """One level of folders. A conversation is in one of them, or in none."""

    def __init__(self, db: Database, key_value: KeyValueStore) -> None:
        self._db = db
        self._key_value = key_value

    def infos(self) -> list[FolderInfo]:
        """All folders, the oldest first."""
        rows = self._db.execute(
            "SELECT id, CAST(name AS BLOB), CAST(model_path AS BLOB), "
            "CAST(system_prompt AS BLOB), CAST(sampling_json AS BLOB) FROM folders ORDER BY id"
        )
        folded = self._folded()
        return [
            FolderInfo(
                key,
                text_of(name),
                ConversationSettings(
                    text_of(path), text_of(prompt), parsed(SamplingSettings, sampling)
                ),
                folded=key in folded,
            )
            for key, name, path, prompt, sampling in rows
        ]

    def create(self, name: str) -> int:
        """A new, empty folder; returns its id."""
        (key,) = self._db.execute(
            "INSERT INTO folders (name) VALUES (?) RETURNING id", (_kept_name(name),)
        )[0]
        return int(key)

    def named(self, name: str) -> int:
        """The folder of this name, made where there is none."""
        kept = _kept_name(name)
        return next((each.id for each in self.infos() if each.name == kept), 0) or self.create(name)

    def save(self, folder: FolderInfo) -> None:
        """Replace the name and the settings of a folder; one that was deleted is made anew."""
        settings = folder.settings
        self._db.execute(
            "INSERT INTO folders (id, name, model_path, system_prompt, sampling_json) "
            "VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name, "
            "model_path = excluded.model_path, system_prompt = excluded.system_prompt, "
            "sampling_json = excluded.sampling_json",
            (
                folder.id,
                _kept_name(folder.name),
                kept_path(settings.model_path),
                clean(settings.system_prompt),
                json_of(settings.sampling),
            ),
        )

    def move(self, conversation_ids: Iterable[int], folder_id: int | None) -> None:
        """Put conversations into a folder; None takes them out."""
        self._db.execute(
            "UPDATE conversations SET folder_id = ? WHERE id IN (SELECT value FROM json_each(?))",
            (folder_id, json.dumps(list(conversation_ids))),
        )

    @transactional
    def delete(self, folder_id: int) -> list[int]:
        """Delete a folder. Its conversations are in none then; returns their ids."""
        inside = self._db.execute("SELECT id FROM conversations WHERE folder_id = ?", (folder_id,))
        self._db.execute("DELETE FROM folders WHERE id = ?", (folder_id,))
        return [key for (key,) in inside]

    def set_folded(self, folder_id: int, folded: bool) -> None:
        """Remember whether the list shows what is in a folder."""
        others = self._folded() - {folder_id}
        self._key_value.set(_FOLDED, sorted(others | {folder_id} if folded else others))

    def _folded(self) -> set[int]:
        stored = self._key_value.get(_FOLDED, [])
        return (
            {key for key in stored if isinstance(key, int)} if isinstance(stored, list) else set()
        )


def _kept_name(name: str) -> str:
    return one_line(clean(name), NAME_CHARACTERS)
