"""What can be seen of the application from outside: its stored chats, and its processes."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MIB = 1 << 20
_LAST = "SELECT value_json FROM remembered WHERE key = 'last_conversation'"


class StoredChats:
    """The profile's database, read from a copy: the application holds the file for itself."""

    def __init__(self, profile: Path, folder: Path) -> None:
        self._profile, self._copy = profile, folder / "copy.db"
        self._seen: tuple[int, ...] = ()

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """The answer of a query; asked again where the copy was made amid a change."""
        for attempt in range(5):
            try:
                self._refresh(again=attempt > 0)
                with sqlite3.connect(self._copy) as db:
                    return db.execute(query, values).fetchall()
            except (sqlite3.DatabaseError, FileNotFoundError):
                time.sleep(0.2)
        raise RuntimeError(f"the copy of the database cannot be read: {query}")

    def _refresh(self, *, again: bool) -> None:
        log, file = (self._profile / name for name in ("conversations.db-wal", "conversations.db"))
        seen = tuple(n for each in (log, file) if each.exists()
                     for n in (each.stat().st_size, each.stat().st_mtime_ns))  # fmt: skip
        if seen != self._seen or again:
            for suffix in ("", "-wal", "-shm"):
                self._copy.with_name(self._copy.name + suffix).unlink(missing_ok=True)
            if log.exists():
                shutil.copy(log, self._copy.with_name(self._copy.name + "-wal"))
            shutil.copy(file, self._copy)
            self._seen = seen

    def one(self, query: str, *values: object) -> Any:
        """The first value of the first row, or None."""
        found = self.rows(query, *values)
        return found[0][0] if found else None

    def shown(self) -> int | None:
        """The conversation on the screen; None for a new one."""
        value = self.one(_LAST)
        return json.loads(value) if value else None

    def titles(self) -> dict[int, str]:
        """The conversations that are not in the trash."""
        return dict(self.rows("SELECT id, title FROM conversations WHERE trashed_at IS NULL"))

    def answer_after(self, message: int) -> tuple[str, str] | None:
        """State and text of the newest answer to a message."""
        found = self.rows(
            "SELECT state, content FROM messages WHERE parent_id = ? ORDER BY id DESC", message
        )
        return found[0] if found else None

    def preferences(self) -> dict[str, Any]:
        """What the settings are now."""
        return json.loads((self._profile / "preferences.json").read_text())


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and theirs."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, left = [], [pid]
    while left:
        below = parents.get(left.pop(), [])
        found += below
        left += below
    return found


def _stat(pid: int) -> list[str]:
    """proc(5), from the state on; empty for a process that has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def ticks_of_children(pid: int) -> dict[int, int]:
    """Processor time of each process that the window has started, in hundredths of a second."""
    stats = {child: _stat(child) for child in descendants(pid)}
    return {child: int(at[11]) + int(at[12]) for child, at in stats.items() if at}


def ticks_in(pid: int, wait: Callable[[float], None], seconds: float = 3.0) -> int:
    """What they spend in so many seconds; one that begins meanwhile counts in full."""
    before = ticks_of_children(pid)
    wait(seconds)
    return sum(n - before.get(child, 0) for child, n in ticks_of_children(pid).items())


def memory_of(pid: int) -> tuple[float, float]:
    """Resident and proportional MiB of a process; zeros for one that has gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0, 0.0
    lines = (line.split() for line in text.splitlines()[1:])
    kib = {fields[0]: int(fields[1]) for fields in lines if len(fields) == 3}
    return kib["Rss:"] / 1024, kib["Pss:"] / 1024


RESOURCES = "clock,window_rss_mib,window_pss_mib,children_pss_mib,threads,load"


def resources(pid: int) -> str:
    """A line of `RESOURCES`; the window's memory is its resident size, as in docs/performance."""
    rss, pss = memory_of(pid)
    children = sum(memory_of(child)[1] for child in descendants(pid))
    fields = _stat(pid)
    threads = int(fields[17]) if fields else 0
    return (
        f"{time.time():.0f},{rss:.1f},{pss:.1f},{children:.1f},{threads},{os.getloadavg()[0]:.2f}"
    )
