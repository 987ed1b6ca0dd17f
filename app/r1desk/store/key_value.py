"""Small values the window keeps from one start to the next."""

from __future__ import annotations

import json

from deepseek_r1.core import log
from r1desk.store.database import Database

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


class KeyValueStore:
    """JSON values by name."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, key: str, default: Json = None) -> Json:
        """The value under `key`, or `default`."""
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

    def set(self, key: str, value: Json) -> None:
        """Keep a JSON value under `key`; None deletes it."""
        if value is None:
            self._db.execute("DELETE FROM remembered WHERE key = ?", (key,))
            return
        self._db.execute(
            "INSERT INTO remembered (key, value_json) VALUES (?, ?) "
            "ON CONFLICT (key) DO UPDATE SET value_json = excluded.value_json",
            (key, json.dumps(value)),
        )
