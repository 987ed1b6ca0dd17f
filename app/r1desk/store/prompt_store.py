"""The library of prompts: its table, and the document that it is exported to and imported from."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from r1desk.store.database import Database, transactional
from r1desk.store.stored_text import clean, text_of

NAME_CHARACTERS, CONTENT_CHARACTERS = 80, 20_000
_BEGUN = "library_begun"  # remembered once the shipped prompts were added


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
    """The table of prompts. Each change returns all of them, by their names, for the window."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def all(self) -> tuple[SavedPrompt, ...]:
        rows = self._db.execute("SELECT CAST(name AS BLOB), CAST(content AS BLOB) FROM prompts")
        prompts = (
            SavedPrompt.model_construct(name=text_of(name), content=text_of(content))
            for name, content in rows
        )
        return tuple(sorted(prompts, key=lambda prompt: prompt.name.casefold()))

    def first(self, shipped: Sequence[SavedPrompt]) -> tuple[SavedPrompt, ...]:
        """All prompts; a new library begins with `shipped` ones, once."""
        begun = self._db.first("SELECT 1 FROM remembered WHERE key = ?", (_BEGUN,))
        if begun is not None:
            return self.all()
        with self._db.transaction():
            self._db.execute("INSERT INTO remembered VALUES (?, 'true')", (_BEGUN,))
            return self.all() or self.add(*shipped)

    @transactional
    def add(self, *prompts: SavedPrompt) -> tuple[SavedPrompt, ...]:
        for prompt in prompts:
            self._db.execute(
                "INSERT INTO prompts (name, content) SELECT ?1, ?2 WHERE NOT EXISTS "
                "(SELECT 1 FROM prompts WHERE name = ?1 AND content = ?2)",
                (clean(prompt.name), clean(prompt.content)),
            )
        return self.all()

    @transactional
    def remove(self, prompt: SavedPrompt) -> tuple[SavedPrompt, ...]:
        self._db.execute(
            "DELETE FROM prompts WHERE name = ? AND content = ?",
            (clean(prompt.name), clean(prompt.content)),
        )
        return self.all()

    @transactional
    def change(self, before: SavedPrompt, after: SavedPrompt) -> tuple[SavedPrompt, ...]:
        """Give one another name or text; one that is not there any more is added."""
        self.remove(before)
        return self.add(after)
