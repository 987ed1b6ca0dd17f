"""Finds words in the text of message widgets, marks them and tells where they are."""

from __future__ import annotations

import re
from dataclasses import dataclass

from PySide6.QtCore import QPoint
from PySide6.QtGui import QColor, QTextCursor
from PySide6.QtWidgets import QTextEdit, QWidget

from r1desk.chat.text.colours import ChatColours, chat_colours


@dataclass(frozen=True, slots=True)
class TextMatch:
    """A match: the text widget that shows it, and the selection of it there."""

    field: QTextEdit
    cursor: QTextCursor

    def top_in(self, ancestor: QWidget) -> int:
        """The upper edge of the match in the coordinates of an ancestor of its widget."""
        start = QTextCursor(self.cursor)
        start.setPosition(self.cursor.selectionStart())
        edge = self.field.cursorRect(start).topLeft()
        return self.field.viewport().mapTo(ancestor, edge).y()


def pattern_of(query: str) -> re.Pattern[str] | None:
    """Finds each word of a query, in either case; None for an empty query."""
    found = sorted(set(query.split()), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, found)), re.IGNORECASE) if found else None


def matches_in(view: QWidget, pattern: re.Pattern[str]) -> list[TextMatch]:
    """All matches in the text shown by a message, from top to bottom."""
    fields = [f for f in view.findChildren(QTextEdit) if not f.isHidden()]
    fields.sort(key=lambda field: field.mapTo(view, QPoint(0, 0)).y())
    return [match for field in fields for match in _matches_of(field, pattern)]


def _matches_of(field: QTextEdit, pattern: re.Pattern[str]) -> list[TextMatch]:
    """The positions of a QTextDocument count UTF-16 units, those of Python code points."""
    matches: list[TextMatch] = []
    block = field.document().begin()
    while block.isValid():
        text = block.text()
        for found in pattern.finditer(text):
            start = block.position() + _utf16_length(text[: found.start()])
            cursor = QTextCursor(field.document())
            cursor.setPosition(start)
            length = _utf16_length(found.group())
            cursor.setPosition(start + length, QTextCursor.MoveMode.KeepAnchor)
            matches.append(TextMatch(field, cursor))
        block = block.next()
    return matches


def _utf16_length(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def mark(view: QWidget, matches: list[TextMatch], current: TextMatch | None = None) -> None:
    """Mark these matches in a message, and no others; the current one stands out."""
    colours = chat_colours()
    for field in view.findChildren(QTextEdit):
        own = [match for match in matches if match.field is field]
        if own or field.extraSelections():
            field.setExtraSelections(
                [_selection(match, match is current, colours) for match in own]
            )


def _selection(
    match: TextMatch, is_current: bool, colours: ChatColours
) -> QTextEdit.ExtraSelection:
    selection = QTextEdit.ExtraSelection()
    selection.cursor = match.cursor
    background = QColor(colours.accent)
    background.setAlphaF(0.55 if is_current else 0.25)
    selection.format.setBackground(background)
    return selection
