"""A code block: its language, a copy button, and the code in colours."""

import math
from collections.abc import Iterator

from PySide6.QtCore import QMimeData, QPointF, QRectF, Slot
from PySide6.QtGui import (
    QBrush,
    QPainter,
    QPaintEvent,
    QPen,
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextLayout,
)
from PySide6.QtWidgets import QLabel, QTextEdit, QToolButton, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.text import display_text
from r1desk.chat.text.buttons import copy_by, icon_button
from r1desk.chat.text.highlight import coloured
from r1desk.chat.text.message_selection import MessageTextBox
from r1desk.chat.text.text_style import TextStyle
from r1desk.chat.text.time_slicer import Slicer

_RADIUS = 8.0
_LINE_HEIGHT = 125.0  # percent


class CodeBox(QWidget):
    """One code block, or one part of a long one (`continued`: no header of its own)."""

    lead_em = 0.7  # the space above

    def __init__(
        self, style: TextStyle, slicer: Slicer, *, language: str, continued: bool, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._style, self._slicer, self.language = style, slicer, language
        self.continued = continued
        self.followed = False  # another part comes right below
        self._parts: list[str] = []  # the code of later boxes
        self._code = ""
        self._shown = ""
        self._pad = round(style.em_px * 0.7)
        self._top = 0 if continued else round(style.em_px * 1.75)  # the height of the header
        self._text = CodeText(style, self)
        self._head: tuple[QLabel, QToolButton] | None = None
        if not continued:
            label = QLabel(display_text.code(language)[:40] or tr("Code"), self)
            style.dress(label, scale=0.88)
            copy = icon_button("copy", tr("Copy code"), self)
            copy.clicked.connect(self._on_copy)
            self._head = label, copy
        self._text.setAccessibleName(tr("Code in {language}", language=language or tr("Code")))

    @property
    def code(self) -> str:
        """The code of this box and of the boxes that continue it."""
        return "\n".join([self._code, *self._parts])

    @Slot()
    def _on_copy(self) -> None:
        if self._head:
            copy_by(self._head[1], self.code)

    def add_part(self, code: str) -> None:
        """Tell the first box what a later one shows, so that copying takes all."""
        self._parts.append(code)

    def set_code(self, code: str, *, final: bool) -> None:
        self._code = code
        shown = display_text.code(code)
        if shown.startswith(self._shown):
            if len(shown) > len(self._shown):
                self._text.append_code(shown[len(self._shown) :])
        else:
            self._text.replace_code(shown)
        self._shown = shown
        if final and self.language:
            self._slicer.add(self, self._colouring())

    def _colouring(self) -> Iterator[None]:
        block = self._text.document().begin()
        runs: list[QTextLayout.FormatRange] = []
        for coloured_run in coloured(self._shown, self.language):
            if coloured_run is None:
                yield
                continue
            at, length, field = coloured_run
            end = at + length
            while at < end:
                while at >= block.position() + block.length():
                    self._colour_block(block, runs)
                    runs = []
                    block = block.next()
                    yield
                stop = min(end, block.position() + block.length())
                run = QTextLayout.FormatRange()
                run.start, run.length = at - block.position(), stop - at
                run.format = QTextCharFormat()
                run.format.setForeground(QBrush(getattr(self._style.colours, field)))
                runs.append(run)
                at = stop
            if len(runs) % 16 == 15:
                yield
        self._colour_block(block, runs)

    def _colour_block(self, block: QTextBlock, runs: list[QTextLayout.FormatRange]) -> None:
        if runs:
            block.layout().setFormats(runs)
            self._text.document().markContentsDirty(block.position(), block.length())

    # ---- geometry

    def fit_width(self, width: int) -> int:
        inner, top = max(10, width - 2 * self._pad), self._top
        if self._head:  # by hand: a layout for it takes as long as the box
            label, copy = self._head
            side = copy.sizeHint()
            copy.setGeometry(
                width - side.width() - 4, (top - side.height()) // 2, side.width(), side.height()
            )
            label.setGeometry(self._pad, 0, inner - side.width(), top)
        height = self._text.needed_height(inner)
        above = 0 if self.continued else round(self._pad * 0.6)
        below = 0 if self.followed else round(self._pad * 0.8)
        self._text.setGeometry(self._pad, top + above, inner, height)
        total = top + above + height + below
        self.resize(width, total)
        return total

    def paintEvent(self, _event: QPaintEvent) -> None:
        colours = self._style.colours
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        # A part of a long block hides its rounded corners outside of the widget.
        above, below = (2 * _RADIUS * each for each in (self.continued, self.followed))
        box = QRectF(self.rect()).adjusted(0.5, 0.5 - above, -0.5, below - 0.5)
        painter.setPen(QPen(colours.edge, 1))
        painter.setBrush(colours.code_background)
        painter.drawRoundedRect(box, _RADIUS, _RADIUS)
        if self._head:
            painter.drawLine(QPointF(0, self._top), QPointF(self.width(), self._top))


class CodeText(MessageTextBox, QTextEdit):
    """The code itself, exactly as high as it needs to be; long lines scroll sideways."""

    def __init__(self, style: TextStyle, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("code")
        self.look_like_text()
        self.setLineWrapMode(QTextEdit.LineWrapMode.NoWrap)
        self.setFont(style.mono)
        self.document().setDefaultFont(style.mono)
        self.setTabStopDistance(self.fontMetrics().horizontalAdvance(" ") * 4)
        self._plain = QTextCharFormat()
        self._plain.setForeground(QBrush(style.colours.code_text))
        self._lines = QTextBlockFormat()
        self._lines.setLineHeight(
            _LINE_HEIGHT, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value
        )
        QTextCursor(self.document()).setBlockFormat(self._lines)

    def append_code(self, code: str) -> None:
        was_empty = self.document().isEmpty()
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.insertText(code, self._plain)
        if was_empty:  # the text pushed the box's own cursor on, and the first show scrolls to it
            self.setTextCursor(QTextCursor(self.document()))

    def replace_code(self, code: str) -> None:
        self.document().clear()
        QTextCursor(self.document()).setBlockFormat(self._lines)
        self.append_code(code)

    def needed_height(self, width: int) -> int:
        """The height of all lines, and of the scroll bar if one is needed."""
        size = self.document().size()
        bar = self.horizontalScrollBar().sizeHint().height() if size.width() > width else 0
        return math.ceil(size.height()) + bar

    def createMimeDataFromSelection(self) -> QMimeData:
        """The selected characters as plain text."""
        data = QMimeData()
        data.setText(self.textCursor().selectedText().replace("\u2029", "\n"))
        return data
