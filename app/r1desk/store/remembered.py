"""Small values the window remembers from one start to the next."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from deepseek_r1.core import log
from r1desk.store.database import Database
from r1desk.store.errors import SearchIndexRepaired

Args = ParamSpec("Args")
Result = TypeVar("Result")
Part = TypeVar("Part", bound="Remembered")
Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


def whole(
    method: Callable[Concatenate[Part, Args], Result],
) -> Callable[Concatenate[Part, Args], Result]:
    """Make a method one transaction, done again if only the search index was in the way."""

    @wraps(method)
    def as_one(self: Part, /, *args: Args.args, **keywords: Args.kwargs) -> Result:
        try:
            with self.transaction():
                return method(self, *args, **keywords)
        except SearchIndexRepaired:
            if self._db.in_transaction:
                raise
        with self.transaction():
            return method(self, *args, **keywords)

    return as_one


class Remembered:
    """The part of the store that keeps values by name, and the transactions of all parts."""

    _db: Database

    def transaction(self) -> AbstractContextManager[None]:
        """Several calls as one: all saved or none. May be nested."""
        return self._db.transaction()

    def recall(self, key: str, default: Json = None) -> Json:
        """What was remembered under `key`, or `default`."""
        row = self._db.first(
            "SELECT CAST(value_json AS BLOB) FROM remembered WHERE key = ?", (key,)
        )
        if row is None:
            return default
        try:
            value: Json = json.loads(row[0])
        except ValueError:
            log.store.warning("the remembered value of %r is unreadable", key)
            return default
        return value

    def remember(self, key: str, value: Json) -> None:
        """Keep a JSON value under `key`; None forgets it."""
        if value is None:
            self._db.execute("DELETE FROM remembered WHERE key = ?", (key,))
            return
        self._db.execute(
            "INSERT INTO remembered (key, value_json) VALUES (?, ?) "
            "ON CONFLICT (key) DO UPDATE SET value_json = excluded.value_json",
            (key, json.dumps(value)),
        )
