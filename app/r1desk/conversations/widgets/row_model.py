"""The rows of the list of conversations: folders, days and months, search hits; as Qt's model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, IntEnum
from functools import lru_cache
from typing import Any

from PySide6.QtCore import (
    QAbstractItemModel,
    QCollator,
    QDate,
    QLocale,
    QMimeData,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
)

from deepseek_r1.core.i18n import N_, tr
from r1desk.chat.values.intents import Request
from r1desk.conversations import conversation_intents as intents
from r1desk.store import ConversationInfo, FolderInfo, SearchHit

Index = QModelIndex | QPersistentModelIndex
CONVERSATIONS_MIME = "application/x-r1desk-conversations"  # ids, with commas between them
NO_INDEX = QModelIndex()
# Joined once: Qt asks for those of every row.
_IS = Qt.ItemFlag
_HEADING_FLAGS = _IS.ItemNeverHasChildren  # so that Qt asks no more about 10,000 rows
_FLAGS = _IS.ItemIsEnabled | _IS.ItemIsSelectable | _IS.ItemIsEditable
_FOLDER_FLAGS = _FLAGS | _IS.ItemIsDropEnabled
_CONVERSATION_FLAGS = _FLAGS | _HEADING_FLAGS | _IS.ItemIsDragEnabled


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


class ItemRole(IntEnum):
    """Data of a row beside Qt's own."""

    ROW = Qt.ItemDataRole.UserRole + 1
    STATE = Qt.ItemDataRole.UserRole + 2  # a `RowState`
    IS_OPEN = Qt.ItemDataRole.UserRole + 3  # it is on the screen, or in this folder


class RowState(Enum):
    """State of a conversation; the value is for people who do not see its sign."""

    NONE = ""
    ANSWERING = N_("Writing an answer")
    QUEUED = N_("A message is queued")
    UNREAD = N_("Not read yet")


class RowModel(QAbstractItemModel):
    """Rows, of which folders have children. Only titles and names can be edited."""

    def __init__(self, request: Request) -> None:
        super().__init__()
        self._request = request
        self._rows: list[Row] = []
        self.open: int | None = None  # the conversation on the screen
        self.answering: int | None = None  # the one whose answer is being written
        self.queued: frozenset[int] = frozenset()  # those whose turn comes

    def show_rows(self, rows: list[Row]) -> bool:
        """Replace all rows; an equal list changes nothing, so selection and editor survive.

        Returns whether anything changed.
        """
        if rows == self._rows:
            return False
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()
        return True

    def index_of(self, conversation_id: int | None) -> QModelIndex:
        """The first row of a conversation, or an invalid index."""
        for at, row in enumerate(self._rows if conversation_id is not None else ()):
            if row.conversation_id == conversation_id:
                return self.index(at)
            for below, child in enumerate(row.children):
                if child.conversation_id == conversation_id:
                    return self.index(below, 0, self.index(at))
        return NO_INDEX

    def index_of_folder(self, folder_id: int) -> QModelIndex:
        places = (at for at, row in enumerate(self._rows) if row.folder_id == folder_id)
        return next((self.index(at) for at in places), NO_INDEX)

    # ---- Qt's questions ---------------------------------------------------------------------

    def _row(self, index: Index) -> Row:
        above = index.internalId()
        return self._rows[above - 1].children[index.row()] if above else self._rows[index.row()]

    def index(self, row: int, column: int = 0, parent: Index = NO_INDEX) -> QModelIndex:
        if not parent.isValid():  # the way of 10,000 rows
            return self.createIndex(row, column, 0) if 0 <= row < len(self._rows) else NO_INDEX
        inside = 0 <= row < self.rowCount(parent)
        return self.createIndex(row, column, parent.row() + 1) if inside else NO_INDEX

    def parent(self, index: Index | None = None) -> Any:
        if index is None:
            return QObject.parent(self)
        above = index.internalId() if index.isValid() else 0
        return self.createIndex(above - 1, 0, 0) if above else QModelIndex()

    def rowCount(self, parent: Index = NO_INDEX) -> int:
        if not parent.isValid():
            return len(self._rows)
        return 0 if parent.internalId() else len(self._rows[parent.row()].children)

    def columnCount(self, _parent: Index = NO_INDEX) -> int:
        return 1

    def headerData(self, _section: int, _way: Qt.Orientation, role: int = 0) -> str | None:
        return tr("Chats") if role == Qt.ItemDataRole.DisplayRole else None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self._row(index)
        answer: Any = None
        match role:
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.EditRole:
                answer = row.title
            case Qt.ItemDataRole.ToolTipRole if not row.is_heading:
                answer = "\n".join(filter(None, (row.title, self._state_text(row))))
            case Qt.ItemDataRole.AccessibleTextRole:
                parts = (row.title, row.date, row.subtitle, self._state_text(row))
                answer = ". ".join(filter(None, parts))
            case ItemRole.ROW:
                answer = row
            case ItemRole.STATE:
                answer = self._state_of(row)
            case ItemRole.IS_OPEN:
                answer = self._is_open(row)
        return answer

    def _state_text(self, row: Row) -> str:
        if row.folder_id is not None:
            return tr("Folder")
        return tr(state.value) if (state := self._state_of(row)).value else ""

    def _state_of(self, row: Row) -> RowState:
        """The state of a conversation; of a folder the most urgent one in it."""
        if row.folder_id is not None:
            states = {self._state_of(child) for child in row.children}
            return next((state for state in list(RowState)[1:] if state in states), RowState.NONE)
        if row.conversation_id is None:
            return RowState.NONE
        if row.conversation_id == self.answering:
            return RowState.ANSWERING
        if row.conversation_id in self.queued:
            return RowState.QUEUED
        return RowState.UNREAD if row.unread else RowState.NONE

    def _is_open(self, row: Row) -> bool:
        if row.folder_id is not None:
            return any(self._is_open(child) for child in row.children)
        return row.is_new or (row.conversation_id == self.open is not None)

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        title, row = str(value).strip(), self._row(index)
        if role != Qt.ItemDataRole.EditRole or not title or row.is_heading:
            return False
        if row.folder_id is not None:
            self._request(intents.RenameFolder(row.folder_id, title))
        elif row.conversation_id is not None:
            self._request(intents.RenameConversation(row.conversation_id, title))
        return True

    def flags(self, index: Index) -> Qt.ItemFlag:
        if not index.isValid():
            return _IS.ItemIsDropEnabled  # outside of all folders
        row = self._row(index)
        if row.conversation_id is not None:
            return _CONVERSATION_FLAGS
        return _HEADING_FLAGS if row.folder_id is None else _FOLDER_FLAGS

    def supportedDropActions(self) -> Qt.DropAction:
        return Qt.DropAction.MoveAction

    def dropMimeData(
        self, data: QMimeData, _action: Qt.DropAction, _row: int, _column: int, parent: Index
    ) -> bool:
        ids = bytes(data.data(CONVERSATIONS_MIME).data()).decode().split(",")
        folder = self._row(parent).folder_id if parent.isValid() else None
        self._request(intents.MoveToFolder(tuple(map(int, ids)), folder))
        return True

    def mimeTypes(self) -> list[str]:
        return [CONVERSATIONS_MIME]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        ids = (self._row(index).conversation_id for index in indexes)
        data = QMimeData()
        data.setData(CONVERSATIONS_MIME, ",".join(str(key) for key in ids if key).encode())
        return data


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
