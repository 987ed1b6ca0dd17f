"""The library of prompts: its table, and the document that it is exported to and imported from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from r1desk.store.database import Database, transactional
from r1desk.store.stored_text import clean, text_of

NAME_CHARACTERS, CONTENT_CHARACTERS = 80, 20_000


class SavedPrompt(BaseModel):
    """One prompt. A `{{field}}` of its content is filled in where it is used."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Annotated[str, Field(min_length=1, max_length=NAME_CHARACTERS)]
    content: Annotated[str, Field(min_length=1, max_length=CONTENT_CHARACTERS)]


class PromptFile(BaseModel):
    """An exported library."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal["r1desk-prompts"] = "r1desk-prompts"
    version: Literal[1] = 1
    prompts: Annotated[list[SavedPrompt], Field(max_length=500)]


class PromptStore:
    """The table of prompts, which is small: it is read and replaced as a whole."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def all(self) -> tuple[SavedPrompt, ...]:
        """All prompts, in the order of the last `replace`."""
        rows = self._db.execute(
            "SELECT CAST(name AS BLOB), CAST(content AS BLOB) FROM prompts ORDER BY id"
        )
        return tuple(
            SavedPrompt.model_construct(name=text_of(name), content=text_of(content))
            for name, content in rows
        )

    @transactional
    def replace(self, prompts: Sequence[SavedPrompt]) -> None:
        """Keep these and no others."""
        self._db.execute("DELETE FROM prompts")
        for prompt in prompts:
            self._db.execute(
                "INSERT INTO prompts (name, content) VALUES (?, ?)",
                (clean(prompt.name), clean(prompt.content)),
            )
