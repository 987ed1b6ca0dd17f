"""How a row of the conversation list is drawn: a title, and a snippet with its matches marked."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPoint, QRect, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPalette
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from r1desk.conversations.rows import Role
from r1desk.theme import tokens

Index = QModelIndex | QPersistentModelIndex

PADDING_PX = 8
RADIUS_PX = 6


class RowDelegate(QStyledItemDelegate):
    """Draws headings small and dim, conversations with a rounded selection."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        line = option.fontMetrics.height()
        if index.data(Role.IS_HEADING):
            return QSize(0, line + 2 * PADDING_PX)
        lines = 2 if index.data(Role.SUBTITLE) else 1
        return QSize(0, lines * line + 2 * PADDING_PX)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if index.data(Role.IS_HEADING):
            self._paint_heading(painter, option, index)
        else:
            self._paint_conversation(painter, option, index)
        painter.restore()

    def _paint_heading(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        painter.setFont(smaller(option.font))
        painter.setPen(option.palette.color(QPalette.ColorRole.PlaceholderText))
        box = option.rect.adjusted(PADDING_PX, PADDING_PX, -PADDING_PX, 0)
        painter.drawText(
            box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, index.data()
        )

    def _paint_conversation(
        self, painter: QPainter, option: QStyleOptionViewItem, index: Index
    ) -> None:
        palette = option.palette
        text = self._paint_background(painter, option)
        box = option.rect.adjusted(PADDING_PX, PADDING_PX, -PADDING_PX, -PADDING_PX)
        metrics = option.fontMetrics
        painter.setPen(palette.color(text))
        title = metrics.elidedText(index.data(), Qt.TextElideMode.ElideRight, box.width())
        painter.drawText(box.topLeft() + QPoint(0, metrics.ascent()), title)
        subtitle = index.data(Role.SUBTITLE)
        if subtitle:
            below = QRect(box.left(), box.top() + metrics.height(), box.width(), metrics.height())
            dim = (
                text
                if text == QPalette.ColorRole.HighlightedText
                else (QPalette.ColorRole.PlaceholderText)
            )
            painter.setPen(palette.color(dim))
            paint_marked(painter, below, subtitle, index.data(Role.MARKS), smaller(option.font))

    def _paint_background(
        self, painter: QPainter, option: QStyleOptionViewItem
    ) -> QPalette.ColorRole:
        """Fill behind a selected or hovered row; returns the role its text is drawn in.

        The open conversation is strong only while the list has the keyboard.
        """
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        if not selected and not hovered:
            return QPalette.ColorRole.Text
        strong = selected and option.widget.hasFocus()
        quiet = tokens().pressed if selected else tokens().hover
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(
            option.palette.color(QPalette.ColorRole.Highlight) if strong else QColor(quiet)
        )
        painter.drawRoundedRect(option.rect.adjusted(1, 1, -1, -1), RADIUS_PX, RADIUS_PX)
        return QPalette.ColorRole.HighlightedText if strong else QPalette.ColorRole.Text

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        editor = super().createEditor(parent, option, index)
        editor.setAutoFillBackground(True)
        return editor


def smaller(font: QFont) -> QFont:
    """The font of headings and snippets."""
    small = QFont(font)
    small.setPointSizeF(font.pointSizeF() * 0.88)
    return small


def paint_marked(
    painter: QPainter, box: QRect, text: str, marks: tuple[tuple[int, int], ...], font: QFont
) -> None:
    """One line of plain text with the marked ranges in bold, cut at the box's end."""
    bold = QFont(font)
    bold.setBold(True)
    x = box.left()
    pieces = [(s, e, False) for s, e in _between(marks, len(text))]
    pieces += [(start, start + length, True) for start, length in marks]
    painter.setClipRect(box)
    for start, end, marked in sorted(pieces):
        painter.setFont(bold if marked else font)
        metrics = QFontMetrics(painter.font())
        piece = text[start:end].replace("\n", " ")
        painter.drawText(QPoint(x, box.top() + metrics.ascent()), piece)
        x += metrics.horizontalAdvance(piece)
        if x > box.right():
            break


def _between(marks: tuple[tuple[int, int], ...], length: int) -> list[tuple[int, int]]:
    """The ranges that no mark covers."""
    gaps, position = [], 0
    for start, size in sorted(marks):
        if start > position:
            gaps.append((position, start))
        position = max(position, start + size)
    if position < length:
        gaps.append((position, length))
    return gaps
