"""What a profile's database holds of a chat, read from outside while the window has it open."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Chat:
    """What the profile's database holds of the one question and its answer."""

    question: str = ""
    answer: str = ""
    state: str = ""  # the answer's: streaming, complete, stopped, failed

    @property
    def ended(self) -> bool:
        """True once nothing more comes."""
        return self.state in {"complete", "stopped"}


def stored(profile: Path) -> Chat:
    """The chat as it is on the disk now.

    The window holds its database alone, so a copy is read. One that was taken in the middle of a
    write cannot be; the next one can.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in ("conversations.db", "conversations.db-wal"):
            if (profile / name).is_file():
                shutil.copy(profile / name, folder)
        try:
            with closing(sqlite3.connect(Path(folder) / "conversations.db")) as store:
                rows = store.execute("SELECT role, content, state FROM messages").fetchall()
        except sqlite3.DatabaseError:
            return Chat()
    questions = [content for role, content, _ in rows if role == "user"]
    answers = [(content.strip(), state) for role, content, state in rows if role == "assistant"]
    return Chat(*questions[:1], *answers[0]) if questions and answers else Chat()
