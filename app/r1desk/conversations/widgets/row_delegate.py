"""Draws a row of the conversation list: signs, a title, a date, a snippet with its matches."""

from itertools import pairwise

from PySide6.QtCore import QPersistentModelIndex, QPoint, QPointF, QRect, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPen
from PySide6.QtWidgets import (
    QAbstractItemView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from r1desk.conversations.widgets.row_model import Index, ItemRole, Row, RowState
from r1desk.theme import tokens
from r1desk.theme.fonts import scaled
from r1desk.theme.icons import icon

PADDING_PX = 8
RADIUS_PX = 6
DOT_PX = 8
ICON_PX = 16
SMALL = 0.88  # of the font, for headings, dates and snippets
MORE_PX = 28  # what opens the menu of a row, at its end
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
ELIDE = Qt.TextElideMode.ElideRight


class RowDelegate(QStyledItemDelegate):
    """Draws headings small and dim, folders with their signs, conversations with a selection.

    `outlined` is the row whose menu is open, or the folder that something is held over.
    """

    def __init__(self, view: QAbstractItemView) -> None:
        super().__init__(view)
        self.outlined = QPersistentModelIndex()

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        lines = 2 if index.data(ItemRole.ROW).subtitle else 1
        return QSize(0, lines * option.fontMetrics.height() + 2 * PADDING_PX)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        row = index.data(ItemRole.ROW)
        if row.is_heading:
            painter.setFont(scaled(option.font, SMALL))
            painter.setPen(QColor(tokens().text_dim))
            box = option.rect.adjusted(PADDING_PX, PADDING_PX, -PADDING_PX, 0)
            painter.drawText(box, Qt.AlignmentFlag.AlignVCenter, row.title)
        else:
            self._paint_row(painter, option, index, row)
        painter.restore()

    def _paint_row(
        self, painter: QPainter, option: QStyleOptionViewItem, index: Index, row: Row
    ) -> None:
        is_folder = row.folder_id is not None
        unfolded = bool(option.state & QStyle.StateFlag.State_Open)
        self._paint_background(painter, option, index, unfolded=unfolded)
        box = option.rect.adjusted(PADDING_PX, PADDING_PX, -PADDING_PX, -PADDING_PX)
        middle = box.top() + option.fontMetrics.height() // 2
        if is_folder:
            for name in ("chevron-down" if unfolded else "chevron-right", "folder"):
                self._paint_icon(painter, name, QPoint(box.left() + ICON_PX // 2 - 3, middle))
                box.setLeft(box.left() + ICON_PX + 2)
        elif index.parent().isValid():
            box.setLeft(box.left() + 2 * ICON_PX + 4)
        hovered = bool(option.state & QStyle.StateFlag.State_MouseOver) and not row.is_new
        inside = sum(not child.is_new for child in row.children)
        aside = row.date or (str(inside) if inside else "")
        if hovered or index == self.outlined:
            self._paint_icon(painter, "more", QPoint(box.right() - ICON_PX // 2, middle))
            box.setRight(box.right() - MORE_PX + PADDING_PX)
            aside = ""
        state = RowState.NONE if is_folder and unfolded else index.data(ItemRole.STATE)
        if state is not RowState.NONE:
            box.setRight(box.right() - 2 * DOT_PX)
            place = QRect(0, 0, 2 * DOT_PX - 2, 2 * DOT_PX - 2)
            place.moveCenter(QPoint(box.right() + DOT_PX, middle))
            paint_state(painter, place, state)
        self._paint_text(painter, option, box, row, aside)

    def _paint_text(
        self, painter: QPainter, option: QStyleOptionViewItem, box: QRect, row: Row, aside: str
    ) -> None:
        """The title with a date or a number beside it, and the snippet below."""
        text, dim = QColor(tokens().text), QColor(tokens().text_dim)
        small, font = scaled(option.font, SMALL), QFont(option.font)
        line = QRect(box.left(), box.top(), box.width(), option.fontMetrics.height())
        painter.setPen(dim)
        if row.subtitle:
            below = line.translated(0, line.height())
            paint_marked(painter, below, row.subtitle, row.marks, small)
        if aside:
            painter.setFont(small)
            painter.drawText(line, RIGHT, aside)
            line.setRight(line.right() - QFontMetrics(small).horizontalAdvance(aside) - PADDING_PX)
        font.setWeight(QFont.Weight.DemiBold if row.unread else font.weight())
        painter.setPen(dim if row.is_new else text)
        paint_marked(painter, line, row.title, (), font)

    def _paint_icon(self, painter: QPainter, name: str, middle: QPoint) -> None:
        place = QRect(0, 0, ICON_PX, ICON_PX)
        place.moveCenter(middle)
        icon(name, "text_dim").paint(painter, place)

    def _paint_background(
        self, painter: QPainter, option: QStyleOptionViewItem, index: Index, *, unfolded: bool
    ) -> None:
        """Fill behind a row that is open, selected, asked about or hovered: one colour each.

        A ring is around the row that has the keyboard.
        """
        state, at = option.state, QStyle.StateFlag
        is_open = index.data(ItemRole.IS_OPEN) and not unfolded
        chosen = is_open or bool(state & at.State_Selected) or index == self.outlined
        box = option.rect.adjusted(1, 1, -1, -1)
        painter.setPen(Qt.PenStyle.NoPen)
        if chosen or state & at.State_MouseOver:
            painter.setBrush(QColor(tokens().pressed if chosen else tokens().hover))
            painter.drawRoundedRect(box, RADIUS_PX, RADIUS_PX)
        if state & at.State_HasFocus:
            painter.setPen(QPen(QColor(tokens().focus), 1.5))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(box, RADIUS_PX, RADIUS_PX)

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        editor = super().createEditor(parent, option, index)
        editor.setAutoFillBackground(True)
        return editor


def paint_state(painter: QPainter, box: QRect, state: RowState) -> None:
    """The sign of a state: a ring around an answer's dot, a clock, or the dot of what is unread."""
    if state is RowState.QUEUED:
        icon("clock", "accent").paint(painter, box)
        return
    colour = QColor(tokens().accent)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    painter.drawEllipse(QPointF(box.center()), DOT_PX / 2, DOT_PX / 2)
    if state is RowState.ANSWERING:
        painter.setPen(QPen(colour, 1.0))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawEllipse(QPointF(box.center()), DOT_PX / 2 + 2, DOT_PX / 2 + 2)


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
    ends = {0, len(text)}.union(*((start, start + length) for start, length in marks))
    return [
        (text[a:b], any(start <= a < start + length for start, length in marks))
        for a, b in pairwise(sorted(ends))
    ]
