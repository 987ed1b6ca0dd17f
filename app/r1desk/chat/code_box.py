"""A code block: its language, a copy button, and the code in colours."""

from __future__ import annotations

import math
from collections.abc import Iterator

from PySide6.QtCore import QMimeData, QRectF, Qt, QTimer, Slot
from PySide6.QtGui import (
    QBrush,
    QGuiApplication,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextLayout,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QLabel, QTextEdit, QToolButton, QWidget

from deepseek_r1.core.words import tr
from r1desk.chat import text as fit
from r1desk.chat.buttons import icon_button
from r1desk.chat.fonts import mono, scaled
from r1desk.chat.highlight import coloured, prepared_lexer
from r1desk.chat.ink import Ink
from r1desk.chat.slices import Slicer
from r1desk.theme.icons import icon

_MAX_LINE = 2_000  # characters; a longer one is drawn in several
_RADIUS = 8.0
_LINE_HEIGHT = 125.0  # percent
_COPIED_MS = 1_500


class CodeText(QTextEdit):
    """The code itself, exactly as high as it needs to be; long lines scroll sideways."""

    def __init__(self, ink: Ink, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("code")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setReadOnly(True)
        self.setUndoRedoEnabled(False)
        self.setLineWrapMode(QTextEdit.LineWrapMode.NoWrap)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.viewport().setAutoFillBackground(False)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setAcceptDrops(False)
        self.setFont(mono(ink.font))
        self.document().setDefaultFont(mono(ink.font))
        self.document().setDocumentMargin(0)
        self.setTabStopDistance(self.fontMetrics().horizontalAdvance(" ") * 4)
        self._plain = QTextCharFormat()
        self._plain.setForeground(QBrush(ink.colours.code_text))
        self._lines = QTextBlockFormat()
        self._lines.setLineHeight(
            _LINE_HEIGHT, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value
        )
        QTextCursor(self.document()).setBlockFormat(self._lines)

    def append_code(self, code: str) -> None:
        """Add more characters at the end."""
        was_empty = self.document().isEmpty()
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.insertText(code, self._plain)
        if was_empty:  # the text pushed the box's own cursor on, and the first show scrolls to it
            self.setTextCursor(QTextCursor(self.document()))

    def replace_code(self, code: str) -> None:
        """Show other code."""
        self.document().clear()
        QTextCursor(self.document()).setBlockFormat(self._lines)
        self.append_code(code)

    def needed_height(self, width: int) -> int:
        """The height of all lines, and of the scroll bar if one is needed."""
        size = self.document().size()
        bar = self.horizontalScrollBar().sizeHint().height() if size.width() > width else 0
        return math.ceil(size.height()) + bar

    def createMimeDataFromSelection(self) -> QMimeData:
        """The selected characters as plain text, lines of our own making joined again."""
        data = QMimeData()
        selected = self.textCursor().selectedText().replace("\u2029", "\n")
        data.setText(selected.replace(f"{fit.BREAK}\n", "").replace(fit.BREAK, ""))
        return data

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Sideways here, up and down in the conversation."""
        sideways = abs(event.angleDelta().x()) > abs(event.angleDelta().y())
        shifted = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        if sideways or shifted:
            super().wheelEvent(event)
        else:
            event.ignore()


class CodeBox(QWidget):
    """One code block, or one part of a long one (`continued`: no header of its own)."""

    lead_em = 0.7  # the space above

    def __init__(
        self, ink: Ink, slicer: Slicer, *, language: str, continued: bool, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._ink = ink
        self._slicer = slicer
        self.language = language
        self.continued = continued
        self.followed = False  # another part comes right below
        self._parts: list[str] = []  # of later boxes
        self._code = ""
        self._shown = ""
        self._text = CodeText(ink, self)
        self._label: QLabel | None = None
        self._copy: QToolButton | None = None
        if not continued:
            self._make_header()
        name = language or tr("Code")
        self._text.setAccessibleName(tr("Code in {language}", language=name))

    def _make_header(self) -> None:
        self._label = QLabel(fit.code(self.language)[:40] or tr("Code"), self)
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self._label.setFont(scaled(self._ink.font, 0.88))
        palette = self._label.palette()
        palette.setColor(palette.ColorRole.WindowText, self._ink.colours.dim)
        self._label.setPalette(palette)
        self._copy = icon_button("copy", tr("Copy code"), self)
        self._copy.clicked.connect(self._on_copy)

    @property
    def code(self) -> str:
        """The code of this box and of the boxes that continue it."""
        return "\n".join([self._code, *self._parts])

    def plain_text(self) -> str:
        """What is drawn, as text."""
        return self._text.toPlainText()

    def add_part(self, code: str) -> None:
        """Tell the first box what a later one shows, so that copying takes all."""
        self._parts.append(code)

    def set_code(self, code: str, *, final: bool) -> None:
        """Show `code`; colours come when it is final."""
        self._code = code
        shown = _broken_lines(fit.code(code))
        if shown.startswith(self._shown):
            if len(shown) > len(self._shown):
                self._text.append_code(shown[len(self._shown) :])
        else:
            self._text.replace_code(shown)
        self._shown = shown
        if final and self.language:
            self._slicer.add(self, self._colouring())

    def _colouring(self) -> Iterator[None]:
        """Colour the lines one by one."""
        lexer = yield from prepared_lexer(self.language)
        if lexer is None:
            return
        block = self._text.document().begin()
        runs: list[QTextLayout.FormatRange] = []
        for start, length, colour in coloured(self._shown, lexer, self._ink.colours):
            at, end = start, start + length
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
                run.format.setForeground(QBrush(colour))
                runs.append(run)
                at = stop
            if len(runs) % 16 == 15:
                yield
        self._colour_block(block, runs)

    def _colour_block(self, block: object, runs: list[QTextLayout.FormatRange]) -> None:
        if runs:
            block.layout().setFormats(runs)  # type: ignore[attr-defined]
            self._text.document().markContentsDirty(block.position(), block.length())  # type: ignore[attr-defined]

    # ---- geometry

    def fit_width(self, width: int) -> int:
        """Lay out for `width` pixels; returns the height that takes."""
        pad = round(self._ink.em_px * 0.7)
        top = 0 if self.continued else self._header_height()
        inner = max(10, width - 2 * pad)
        height = self._text.needed_height(inner)
        above = 0 if self.continued else round(pad * 0.6)
        below = 0 if self.followed else round(pad * 0.8)
        self._text.setGeometry(pad, top + above, inner, height)
        if self._label and self._copy:
            side = self._copy.sizeHint()
            self._copy.setGeometry(
                width - side.width() - 4, (top - side.height()) // 2, side.width(), side.height()
            )
            self._label.setGeometry(pad, 0, inner - side.width(), top)
        total = top + above + height + below
        self.resize(width, total)
        return total

    def _header_height(self) -> int:
        return round(self._ink.em_px * 1.75)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """The rounded box behind header and code."""
        colours = self._ink.colours
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        # A part of a long block hides its rounded corners outside of the widget.
        outer = box.adjusted(
            0, -2 * _RADIUS if self.continued else 0, 0, 2 * _RADIUS if self.followed else 0
        )
        path = QPainterPath()
        path.addRoundedRect(outer, _RADIUS, _RADIUS)
        painter.fillPath(path, colours.code_background)
        if not self.continued:
            painter.save()
            painter.setClipPath(path)
            header = QRectF(0, 0, self.width(), self._header_height())
            painter.fillRect(header, colours.code_header)
            painter.setPen(QPen(colours.edge, 1))
            painter.drawLine(header.bottomLeft(), header.bottomRight())
            painter.restore()
        painter.setPen(QPen(colours.edge, 1))
        painter.drawPath(path)

    @Slot()
    def _on_copy(self) -> None:
        QGuiApplication.clipboard().setText(self.code)
        if self._copy:
            self._copy.setIcon(icon("check"))
            QTimer.singleShot(_COPIED_MS, self._copy, self._restore_icon)

    def _restore_icon(self) -> None:
        if self._copy:
            self._copy.setIcon(icon("copy"))


def _broken_lines(code: str) -> str:
    """`code` with its extremely long lines drawn as several."""
    if len(code) <= _MAX_LINE:
        return code
    lines = []
    for line in code.split("\n"):
        pieces = [line[at : at + _MAX_LINE] for at in range(0, len(line), _MAX_LINE)]
        lines.append(f"{fit.BREAK}\n".join(pieces))
    return "\n".join(lines)
