"""Reads a chat from a profile's database while the window has it open."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Chat:
    """The question and its answer in the profile's database."""

    question: str = ""
    answer: str = ""
    state: str = ""  # the answer's: streaming, complete, stopped, failed
    model: str = ""  # the path of the conversation's model file

    @property
    def ended(self) -> bool:
        """True once the answer is complete, stopped or failed."""
        return self.state in {"complete", "stopped"}


def stored(profile: Path) -> Chat:
    """Returns the chat that is on the disk now.

    The window locks its database, so a copy is read. A copy that was made during a write may be
    unreadable; a later one is not.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in ("conversations.db", "conversations.db-wal"):
            if (profile / name).is_file():
                shutil.copy(profile / name, folder)
        try:
            with closing(sqlite3.connect(Path(folder) / "conversations.db")) as store:
                rows = store.execute(
                    "SELECT role, content, state, model_path FROM messages"
                    " JOIN conversations ON conversations.id = conversation_id"
                ).fetchall()
        except sqlite3.DatabaseError:
            return Chat()
    questions = [content for role, content, *_ in rows if role == "user"]
    answers = [(content.strip(), *rest) for role, content, *rest in rows if role == "assistant"]
    return Chat(*questions[:1], *answers[0]) if questions and answers else Chat()
