"""Conversations and search hits as rows of one list, grouped by day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum, IntEnum
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QDate,
    QLocale,
    QModelIndex,
    QPersistentModelIndex,
    Qt,
    Signal,
)

from deepseek_r1.core.i18n import N_, tr
from r1desk.store import ConversationInfo, SearchHit

Index = QModelIndex | QPersistentModelIndex


class ItemRole(IntEnum):
    """Data of a row beside Qt's own."""

    ROW = Qt.ItemDataRole.UserRole + 1
    STATE = Qt.ItemDataRole.UserRole + 2  # a `RowState`


class RowState(Enum):
    """State of a conversation; the value is for people who do not see its sign."""

    NONE = ""
    ANSWERING = N_("An answer is being written")
    QUEUED = N_("A message waits until another answer is finished")
    UNREAD = N_("Not read yet")


@dataclass(frozen=True, slots=True)
class Row:
    """A heading or a conversation; `marks` are the matches (start, length) in the subtitle.

    A search hit has the `query`, the message that matched, None where only the title did, and the
    day of the conversation's last message, since hits stand under no headings.
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


def rows_by_day(conversations: Sequence[ConversationInfo], now: datetime) -> list[Row]:
    """All conversations under headings: pinned ones first, the others by their age."""
    rows: list[Row] = []
    heading = ""
    for info in conversations:
        age = tr("Pinned") if info.pinned else _age_heading(info.updated_at, now)
        if age != heading:
            heading = age
            rows.append(Row(title=heading))
        row = Row(info.title, info.id, pinned=info.pinned, unread=info.unread)
        rows.append(row)
    return rows


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
            date=_date_text(hit.updated_at, now),
        )
        for hit in hits
    ]


def _age_heading(updated_at: float, now: datetime) -> str:
    day = datetime.fromtimestamp(updated_at, tz=now.tzinfo).date()
    if recent := _recent_day(day, now):
        return recent
    return tr("This week") if day > now.date() - timedelta(days=7) else tr("Older")


def _date_text(updated_at: float, now: datetime) -> str:
    day = datetime.fromtimestamp(updated_at, tz=now.tzinfo).date()
    shown = QDate(day.year, day.month, day.day)
    return _recent_day(day, now) or QLocale().toString(shown, QLocale.FormatType.ShortFormat)


def _recent_day(day: date, now: datetime) -> str:
    """The word for today or yesterday; empty for an earlier day."""
    if day >= now.date():
        return tr("Today")
    return tr("Yesterday") if day >= now.date() - timedelta(days=1) else ""


class RowModel(QAbstractListModel):
    """The rows, for a view. Only a title can be edited."""

    renamed = Signal(int, str)  # conversation, new title

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[Row] = []
        self._answering: int | None = None
        self._queued: frozenset[int] = frozenset()

    def show_rows(self, rows: list[Row]) -> None:
        """Replace all rows; an equal list changes nothing, so selection and editor survive."""
        if rows == self._rows:
            return
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def set_answering(self, conversation_id: int | None, queued: frozenset[int]) -> None:
        """Mark the conversation whose answer is being written, and those whose turn comes."""
        changed = {self._answering, conversation_id, *self._queued, *queued} - {None}
        if (self._answering, self._queued) == (conversation_id, queued):
            return
        self._answering, self._queued = conversation_id, queued
        for number, row in enumerate(self._rows):
            if row.conversation_id in changed:
                self.dataChanged.emit(self.index(number), self.index(number))

    def index_of(self, conversation_id: int | None) -> QModelIndex:
        """The first row of a conversation, or an invalid index."""
        for number, row in enumerate(self._rows):
            if row.conversation_id == conversation_id and conversation_id is not None:
                return self.index(number)
        return QModelIndex()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self._rows[index.row()]
        state = self._state_of(row)
        state_text = tr(state.value) if state.value else ""
        answers: dict[int, Any] = {
            Qt.ItemDataRole.DisplayRole: row.title,
            Qt.ItemDataRole.EditRole: row.title,
            Qt.ItemDataRole.ToolTipRole: (
                "\n".join(filter(None, (row.title, state_text))) if row.conversation_id else None
            ),
            Qt.ItemDataRole.AccessibleTextRole: ". ".join(
                filter(None, (row.title, row.date, row.subtitle, state_text))
            ),
            ItemRole.ROW: row,
            ItemRole.STATE: state,
        }
        return answers.get(role)

    def _state_of(self, row: Row) -> RowState:
        if row.conversation_id is None:
            return RowState.NONE
        if row.conversation_id == self._answering:
            return RowState.ANSWERING
        if row.conversation_id in self._queued:
            return RowState.QUEUED
        return RowState.UNREAD if row.unread else RowState.NONE

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        row = self._rows[index.row()]
        title = str(value).strip()
        if role != Qt.ItemDataRole.EditRole or row.conversation_id is None or not title:
            return False
        self.renamed.emit(row.conversation_id, title)
        return True

    def flags(self, index: Index) -> Qt.ItemFlag:
        if self._rows[index.row()].conversation_id is None:
            return Qt.ItemFlag.NoItemFlags
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEditable
