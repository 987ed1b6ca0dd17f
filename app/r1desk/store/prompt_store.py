"""The library of prompts: its table, and the JSON file that it is exported to and imported from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deepseek_r1.core.atomic_write import write_atomically
from deepseek_r1.core.i18n import tr
from r1desk.store.database import Database, transactional
from r1desk.store.errors import ArchiveNotRead, PromptsNotWritten, PromptsUnreadable
from r1desk.store.stored_text import clean, text_of

NAME_CHARACTERS, CONTENT_CHARACTERS = 80, 20_000
MOST_IMPORTED = 500
MAX_BYTES = 4 * 2**20


class SavedPrompt(BaseModel):
    """One prompt. A `{{field}}` of its content is filled in where it is used."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Annotated[str, Field(min_length=1, max_length=NAME_CHARACTERS)]
    content: Annotated[str, Field(min_length=1, max_length=CONTENT_CHARACTERS)]


class PromptFile(BaseModel):
    """An exported library."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal["r1desk-prompts"]
    version: Literal[1]
    prompts: Annotated[list[SavedPrompt], Field(max_length=MOST_IMPORTED)]


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


def export_prompts(prompts: Sequence[SavedPrompt], file: Path) -> None:
    """Write prompts to a file. Raises PromptsNotWritten."""
    content = PromptFile(format="r1desk-prompts", version=1, prompts=list(prompts))
    try:
        write_atomically(file, content.model_dump_json(indent=2).encode("utf-8"))
    except OSError as problem:
        raise PromptsNotWritten(path=str(file), detail=problem.strerror or "") from problem


def import_prompts(file: Path) -> tuple[SavedPrompt, ...]:
    """The prompts of a file, which comes from outside. Raises ArchiveNotRead, PromptsUnreadable."""
    try:
        if file.exists() and not file.is_file():  # reading a device or a pipe may never end
            raise PromptsUnreadable(detail=tr("another kind of file"))
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as problem:
        raise ArchiveNotRead(path=str(file), detail=problem.strerror or "") from problem
    if len(data) > MAX_BYTES:
        raise PromptsUnreadable(detail=tr("more than {n} MiB", n=MAX_BYTES >> 20))
    try:
        return tuple(PromptFile.model_validate_json(data).prompts)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        where = "/".join(map(str, first["loc"]))
        raise PromptsUnreadable(detail=f"{where}: {first['msg']}".lstrip(": ")) from problem
