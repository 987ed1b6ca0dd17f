"""Conversations and search hits as rows of one list, grouped by day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt, Signal

from deepseek_r1.core.words import tr
from r1desk.store import ConversationInfo, SearchHit

Index = QModelIndex | QPersistentModelIndex


class Role(IntEnum):
    """What the delegate asks of a row."""

    CONVERSATION_ID = Qt.ItemDataRole.UserRole + 1
    SUBTITLE = Qt.ItemDataRole.UserRole + 2
    IS_HEADING = Qt.ItemDataRole.UserRole + 3
    MARKS = Qt.ItemDataRole.UserRole + 4


@dataclass(frozen=True, slots=True)
class Row:
    """A heading or a conversation; `marks` are the matches (start, length) in the subtitle."""

    title: str
    conversation_id: int | None = None
    subtitle: str = ""
    marks: tuple[tuple[int, int], ...] = ()


def rows_by_day(conversations: Sequence[ConversationInfo], now: datetime) -> list[Row]:
    """All conversations, newest first, under headings for their age."""
    rows: list[Row] = []
    heading = ""
    for info in conversations:
        age = _age_heading(info.updated_at, now)
        if age != heading:
            heading = age
            rows.append(Row(title=heading))
        rows.append(Row(title=info.title, conversation_id=info.id))
    return rows


def rows_of_hits(hits: Sequence[SearchHit]) -> list[Row]:
    """Search results, best first, with the place that matched."""
    return [
        Row(
            title=hit.title,
            conversation_id=hit.conversation_id,
            subtitle=hit.snippet,
            marks=tuple(hit.marks),
        )
        for hit in hits
    ]


def _age_heading(updated_at: float, now: datetime) -> str:
    day = datetime.fromtimestamp(updated_at, tz=now.tzinfo).date()
    if day >= now.date():
        return tr("Today")
    if day >= now.date() - timedelta(days=1):
        return tr("Yesterday")
    if day > now.date() - timedelta(days=7):
        return tr("This week")
    return tr("Older")


class RowModel(QAbstractListModel):
    """The rows, for a view. Only a title can be edited."""

    renamed = Signal(int, str)  # conversation, new title

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[Row] = []

    def show_rows(self, rows: list[Row]) -> None:
        """Replace all rows; an equal list changes nothing, so selection and editor survive."""
        if rows == self._rows:
            return
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

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
        answers: dict[int, Any] = {
            Qt.ItemDataRole.DisplayRole: row.title,
            Qt.ItemDataRole.EditRole: row.title,
            Qt.ItemDataRole.ToolTipRole: row.title if row.conversation_id is not None else None,
            Qt.ItemDataRole.AccessibleTextRole: f"{row.title}. {row.subtitle}".removesuffix(". "),
            Role.CONVERSATION_ID: row.conversation_id,
            Role.SUBTITLE: row.subtitle,
            Role.MARKS: row.marks,
            Role.IS_HEADING: row.conversation_id is None,
        }
        return answers.get(role)

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
