"""Methods of the store that are one transaction each."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from r1desk.store.database import Database
from r1desk.store.errors import SearchIndexRepaired


class _HasDatabase(Protocol):
    """A part of the store, which has its database."""

    _db: Database


Part = TypeVar("Part", bound=_HasDatabase)
Args = ParamSpec("Args")
Result = TypeVar("Result")


def transactional(
    method: Callable[Concatenate[Part, Args], Result],
) -> Callable[Concatenate[Part, Args], Result]:
    """Make a method one transaction, done again if only the search index was damaged."""

    @wraps(method)
    def as_one(self: Part, /, *args: Args.args, **keywords: Args.kwargs) -> Result:
        database = self._db
        try:
            with database.transaction():
                return method(self, *args, **keywords)
        except SearchIndexRepaired:
            if database.in_transaction:
                raise
        with database.transaction():
            return method(self, *args, **keywords)

    return as_one
