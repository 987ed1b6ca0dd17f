"""Folders, conversations and search hits as rows, grouped by day and month."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from PySide6.QtCore import QCollator, QDate, QLocale

from deepseek_r1.core.i18n import tr
from r1desk.store import ConversationInfo, FolderInfo, SearchHit


@dataclass(frozen=True, slots=True)
class Row:
    """A heading, a folder or a conversation; `marks` are matches (start, length) in the subtitle.

    A search hit has the `query`, the message that matched, None where only the title did. The day
    of a hit's last message, or of its way into the trash, is in the row: there are no headings.
    """

    title: str
    conversation_id: int | None = None
    subtitle: str = ""
    marks: tuple[tuple[int, int], ...] = ()
    message_id: int | None = None
    query: str = ""
    pinned: bool = False
    unread: bool = False
    date: str = ""
    folder_id: int | None = None  # of a folder's own row
    folded: bool = field(default=False, compare=False)  # at first; then the view knows
    is_new: bool = False  # the conversation that begins with the next message
    trashed: bool = False
    children: tuple[Row, ...] = ()

    @property
    def is_heading(self) -> bool:
        """True for what is only read."""
        return self.conversation_id is None and self.folder_id is None and not self.is_new


def rows_by_day(
    conversations: Sequence[ConversationInfo],
    now: datetime,
    folders: Sequence[FolderInfo] = (),
    new_in: int | None = None,
) -> list[Row]:
    """Folders, then all other conversations under headings: pinned ones first.

    A new chat stands in the folder `new_in` before it is stored.
    """
    inside: dict[int | None, list[Row]] = defaultdict(list)
    inside[new_in] += [Row(tr("New chat"), is_new=True)] if new_in is not None else []
    outside: list[Row] = []
    known, heading = {folder.id for folder in folders}, ""
    ages = _ages(now)
    since, age = next(ages)
    for info in conversations:
        row = _row(info.title, info.id, info.pinned, info.unread)
        if info.folder_id in known:
            inside[info.folder_id].append(row)
            continue
        while not info.pinned and info.updated_at < since:  # the latest come first
            since, age = next(ages)
        if heading != (tr("Pinned") if info.pinned else age):
            heading = tr("Pinned") if info.pinned else age
            outside.append(Row(title=heading))
        outside.append(row)
    return [
        Row(each.name, folder_id=each.id, folded=each.folded, children=tuple(inside[each.id]))
        for each in folders
    ] + outside


@lru_cache(maxsize=20_000)  # the same object is equal at once, where the list is read anew
def _row(title: str, conversation_id: int, pinned: bool, unread: bool) -> Row:
    return Row(title, conversation_id, pinned=pinned, unread=unread)


def by_name(folders: Sequence[FolderInfo]) -> list[FolderInfo]:
    """Folders in the order of the language; numbers in names count."""
    collator = QCollator()
    collator.setNumericMode(True)
    return sorted(folders, key=lambda each: collator.sortKey(each.name))


def rows_of_hits(hits: Sequence[SearchHit], query: str, now: datetime) -> list[Row]:
    """Search results, best first, with the place that matched."""
    return [
        Row(
            title=hit.title,
            conversation_id=hit.conversation_id,
            subtitle=hit.snippet,
            marks=tuple(hit.marks),
            message_id=hit.message_id,
            query=query,
            date=date_text(hit.updated_at, now),
        )
        for hit in hits
    ]


def rows_of_trash(conversations: Sequence[ConversationInfo], now: datetime) -> list[Row]:
    """Conversations in the trash, each with the day it was moved there."""
    return [
        Row(info.title, info.id, date=date_text(info.trashed_at or 0.0, now), trashed=True)
        for info in conversations
    ]


def _ages(now: datetime) -> Iterator[tuple[float, str]]:
    """The beginnings of today, yesterday, this week, this year's months and all earlier years."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    yield today.timestamp(), tr("Today")
    yield (today - timedelta(days=1)).timestamp(), tr("Yesterday")
    yield (today - timedelta(days=6)).timestamp(), tr("This week")
    for month in range(now.month, 0, -1):
        name = QLocale().standaloneMonthName(month)
        begins = today.replace(month=month, day=1)
        yield begins.timestamp(), name[:1].upper() + name[1:]
    for year in range(now.year - 1, 1970, -1):
        yield today.replace(year=year, month=1, day=1).timestamp(), tr("{year}", year=year)
    yield float("-inf"), tr("{year}", year=1970)


def date_text(moment: float, now: datetime) -> str:
    """The day of a moment in few letters."""
    day = datetime.fromtimestamp(moment, tz=now.tzinfo).date()
    if day >= now.date():
        return tr("Today")
    if day >= now.date() - timedelta(days=1):
        return tr("Yesterday")
    return QLocale().toString(QDate(day.year, day.month, day.day), QLocale.FormatType.ShortFormat)
