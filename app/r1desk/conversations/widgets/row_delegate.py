"""Draws a row of the conversation list: a title, a date, a snippet with its matches marked."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QPointF, QRect, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPalette
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from r1desk.conversations.widgets.conversation_rows import Index, ItemRole, RowState
from r1desk.theme import tokens
from r1desk.theme.icons import icon

PADDING_PX = 8
RADIUS_PX = 6
DOT_PX = 8
ELIDE = Qt.TextElideMode.ElideRight


class RowDelegate(QStyledItemDelegate):
    """Draws headings small and dim, conversations with a rounded selection."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        lines = 2 if index.data(ItemRole.ROW).subtitle else 1
        return QSize(0, lines * option.fontMetrics.height() + 2 * PADDING_PX)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if index.data(ItemRole.ROW).conversation_id is None:
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
        palette, row = option.palette, index.data(ItemRole.ROW)
        text = self._paint_background(painter, option)
        on_accent = text == QPalette.ColorRole.HighlightedText
        box = option.rect.adjusted(PADDING_PX, PADDING_PX, -PADDING_PX, -PADDING_PX)
        metrics = option.fontMetrics
        state = index.data(ItemRole.STATE)
        if state is not RowState.NONE:
            box.setRight(box.right() - 2 * DOT_PX)
            sign = QRect(0, 0, 2 * DOT_PX - 2, 2 * DOT_PX - 2)
            sign.moveCenter(QPoint(box.right() + DOT_PX, box.top() + metrics.height() // 2))
            paint_state(painter, sign, state, "accent_text" if on_accent else "accent")
        dim = palette.color(text if on_accent else QPalette.ColorRole.PlaceholderText)
        left = box.width()
        if row.date:
            font = smaller(option.font)
            width = QFontMetrics(font).horizontalAdvance(row.date)
            painter.setFont(font)
            painter.setPen(dim)
            painter.drawText(box.topLeft() + QPoint(left - width, metrics.ascent()), row.date)
            left -= width + PADDING_PX
        font = QFont(option.font)
        font.setWeight(QFont.Weight.DemiBold if row.unread else font.weight())
        painter.setFont(font)
        painter.setPen(palette.color(text))
        title = QFontMetrics(font).elidedText(row.title, ELIDE, left)
        painter.drawText(box.topLeft() + QPoint(0, metrics.ascent()), title)
        if row.subtitle:
            below = QRect(box.left(), box.top() + metrics.height(), box.width(), metrics.height())
            painter.setPen(dim)
            paint_marked(painter, below, row.subtitle, row.marks, smaller(option.font))

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


def paint_state(painter: QPainter, box: QRect, state: RowState, colour: str) -> None:
    """The sign of a state: three dots as of someone who types, a clock, or one large dot."""
    if state is RowState.QUEUED:
        icon("clock", colour).paint(painter, box)
        return
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(getattr(tokens(), colour)))
    steps, radius = ((-1, 0, 1), 1.7) if state is RowState.ANSWERING else ((0,), DOT_PX / 2)
    for step in steps:
        painter.drawEllipse(QPointF(box.center()) + QPointF(step * 5, 0), radius, radius)


def smaller(font: QFont) -> QFont:
    """The font of headings, dates and snippets."""
    small = QFont(font)
    small.setPointSizeF(font.pointSizeF() * 0.88)
    return small


def paint_marked(
    painter: QPainter, box: QRect, text: str, marks: tuple[tuple[int, int], ...], font: QFont
) -> None:
    """One line of plain text with the marked ranges in bold, elided at the box's end.

    Where the first mark lies beyond the box, the text before it is left out.
    """
    bold = QFont(font)
    bold.setBold(True)
    fonts = {False: font, True: bold}
    pieces = marked_pieces(text.replace("\n", " "), marks)
    widths = [QFontMetrics(fonts[marked]).horizontalAdvance(piece) for piece, marked in pieces]
    first = next((i for i, (_, marked) in enumerate(pieces) if marked), 0)
    if sum(widths[: first + 1]) > box.width():
        pieces, widths = pieces[first:], widths[first:]
    x = box.left()
    for (piece, marked), width in zip(pieces, widths, strict=True):
        metrics = QFontMetrics(fonts[marked])
        left = box.right() - x
        shown = piece if width <= left else metrics.elidedText(piece, ELIDE, left)
        painter.setFont(fonts[marked])
        painter.drawText(QPoint(x, box.top() + metrics.ascent()), shown)
        x += width
        if shown != piece:
            break


def marked_pieces(text: str, marks: tuple[tuple[int, int], ...]) -> list[tuple[str, bool]]:
    """`text` in pieces, each with whether it is marked."""
    pieces: list[tuple[str, bool]] = []
    position = 0
    for start, length in sorted(marks):
        if start > position:
            pieces.append((text[position:start], False))
        pieces.append((text[start : start + length], True))
        position = max(position, start + length)
    if position < len(text):
        pieces.append((text[position:], False))
    return pieces
