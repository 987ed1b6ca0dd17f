"""Folders of conversations: made, listed, changed, deleted and brought back."""

import json
from collections.abc import Iterable

from r1desk.store.conversation_store import KeyValueStore, kept_settings, settings_of
from r1desk.store.database import Database, transactional
from r1desk.store.records import FolderInfo
from r1desk.store.stored_text import clean, one_line, text_of

NAME_CHARACTERS = 60
_FOLDED = "folded folders"


class FolderStore:
    """One level of folders. A conversation is in one of them, or in none."""

    def __init__(self, db: Database, key_value: KeyValueStore) -> None:
        self._db, self._key_value = db, key_value

    def infos(self) -> list[FolderInfo]:
        """All folders, the oldest first."""
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
    def delete(self, folder_id: int) -> list[int]:
        """Delete a folder. Its conversations are in none then; returns their ids."""
        inside = self._db.execute("SELECT id FROM conversations WHERE folder_id = ?", (folder_id,))
        self._db.execute("DELETE FROM folders WHERE id = ?", (folder_id,))
        return [key for (key,) in inside]

    def set_folded(self, folder_id: int, folded: bool) -> None:
        """Remember whether the list shows what is in a folder."""
        self._key_value.mark(_FOLDED, [folder_id], folded)


def _kept_name(name: str) -> str:
    return one_line(clean(name), NAME_CHARACTERS)
