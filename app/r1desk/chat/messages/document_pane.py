"""A document beside the chat: its pages as they are drawn, or its text, with a place marked."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QRect, QSignalBlocker, Qt, QTimer, Signal, Slot
from PySide6.QtGui import (
    QColor,
    QFont,
    QImage,
    QKeyEvent,
    QPainter,
    QPixmap,
    QRegion,
    QResizeEvent,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QWheelEvent,
)
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QSpinBox,
    QTextEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core.i18n import tr
from deepseek_r1.documents.document import BETWEEN_BLOCKS, Passage, Place
from deepseek_r1.documents.page_drawing import DrawnPage
from r1desk.chat.messages.top_bars import FindField
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.buttons import icon_button
from r1desk.chat.text.colours import chat_colours
from r1desk.chat.text.editor import PlainEdit
from r1desk.chat.text.passage_lines import LineKind, passage_lines, place_of
from r1desk.theme.fonts import mono
from r1desk.widgets.layouts import filled, put_inside, with_properties
from r1desk.widgets.text_label import ElidedLabel, text_label

_SLICE = 40_000  # characters that are added at a time
_MARK_ALPHA = 80
_HEADING_SIZE = 1.2  # of the text's
_MARK = QColor("#ffe066")  # of a page, which is paper in dark colours too
_RESIZED_MS, _TURNED_MS = 150, 400
_BACKWARD = QTextDocument.FindFlag.FindBackward


def passages_of(text: str) -> list[Passage]:
    """Pieces of a text that has no places, to be shown as passages are."""
    pieces = enumerate(fit.paragraph_slices(text, _SLICE))
    return [Passage("", "", number, Place(), piece, 0, 0) for number, piece in pieces]


class PageSheet(QScrollArea):
    """One drawn page, as wide as there is room.

    Signals:
        resized: the page is to be drawn anew.
        turned: by the wheel, beyond the end of the page (1) or its beginning (-1).
    """

    resized = Signal()
    turned = Signal(int)

    def __init__(self) -> None:
        super().__init__(alignment=Qt.AlignmentFlag.AlignHCenter)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)  # the width stays
        self.picture = QLabel()
        self.setWidget(self.picture)
        self._from_end = False
        self._turning = QTimer(self, singleShot=True, interval=_TURNED_MS)
        self._settled = QTimer(self, singleShot=True, interval=_RESIZED_MS)
        self._settled.timeout.connect(self.resized)

    @property
    def width_px(self) -> int:
        """The width for a page, in pixels of the screen."""
        return round(self.viewport().width() * self.devicePixelRatioF())

    def show_page(self, page: DrawnPage) -> None:
        """Show a page at its first mark; else at its top, or its end where one turned back."""
        size = page.width, page.height, 3 * page.width
        pixmap = QPixmap.fromImage(QImage(page.pixels, *size, QImage.Format.Format_RGB888))
        painter = QPainter(pixmap)
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Multiply)
        marked = QRegion()
        for mark in page.marks:  # fonts within a line make several, which lie over each other
            marked = marked.united(QRect(*mark))
        painter.setClipRegion(marked)
        painter.fillRect(pixmap.rect(), _MARK)
        painter.end()
        pixmap.setDevicePixelRatio(self.devicePixelRatioF())
        self.picture.setPixmap(pixmap)
        self.picture.adjustSize()
        bar, ends = self.verticalScrollBar(), page.height if self._from_end else 0
        top, self._from_end = page.marks[0][1] if page.marks else ends, False
        bar.setValue(round(top / self.devicePixelRatioF()) - self.viewport().height() // 3)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Turn the page where this one ends; one page at a time, however far a wheel runs on."""
        by, bar = event.angleDelta().y(), self.verticalScrollBar()
        down = by < 0
        if by == 0 or bar.value() != (bar.maximum() if down else bar.minimum()):
            super().wheelEvent(event)
        elif not self._turning.isActive():
            self._turning.start()
            self._from_end = not down
            self.turned.emit(1 if down else -1)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Have the page drawn anew, once the width stays."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._settled.start()


class DocumentPane(QWidget):
    """A document; a long text is filled in bit by bit.

    Signals:
        page_wanted: a page, from 1, its width in pixels, and the text that is marked on it.
        file_wanted: its path is to be opened.
        copied: a text of it, and the text's place.
        closed: by its button or Esc.
    """

    page_wanted = Signal(int, int, str)
    file_wanted = Signal(Path)
    copied = Signal(str, str)
    closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.name = self.sha256 = ""
        self._path: Path | None = None
        self._passages: Sequence[Passage] = ()
        self._starts: list[int] = []  # in the text shown, of the passages that it has so far
        self._pages: list[int] = []  # of all passages
        self._wanted: tuple[int, str] | None = None  # a passage to be shown, and what is marked
        self._marked = ""  # of the drawn page
        self._number = 0  # of the passage that is shown
        self.title = ElidedLabel()
        self.open_button = icon_button("file", tr("Open the file"), self)
        self.open_button.clicked.connect(self._on_open)
        self.copy_button = icon_button("copy", tr("Copy with source"), self)
        self.copy_button.clicked.connect(self._on_copy)
        self.as_text = with_properties(
            QToolButton(),
            text=tr("Text"),
            toolTip=tr("Show the text in place of the page"),
            checkable=True,
            autoRaise=True,
        )
        self.as_text.toggled.connect(self._show_kind)
        close = icon_button("close", tr("Close the document (Esc)"), self)
        close.clicked.connect(self.closed)
        column = filled(QVBoxLayout(self), spacing=6, margins=(12, 8, 12, 10))
        row = put_inside(column, QHBoxLayout())
        row.addWidget(self.title, 1)
        for button in (self.as_text, self.copy_button, self.open_button, close):
            row.addWidget(button)
        row = put_inside(column, QHBoxLayout())
        self.page = with_properties(
            QSpinBox(), prefix=f"{tr('Page')} ", minimum=1, keyboardTracking=False
        )
        self.page.setAccessibleName(tr("Page"))
        self.page.lineEdit().setTextMargins(6, 0, 6, 0)
        self.page.valueChanged.connect(self._on_page)
        self.find_field = FindField(tr("Find in this document"), self)
        self.find_field.stepped.connect(self._on_stepped)
        self.find_field.escaped.connect(self.closed)
        row.addWidget(self.page)
        row.addWidget(self.find_field, 1)
        for icon, label, step in (
            ("chevron-left", tr("Match before (Shift+Enter)"), -1),
            ("chevron-right", tr("Next match (Enter)"), 1),
        ):
            button = icon_button(icon, label, self)
            button.clicked.connect(lambda _checked, step=step: self._on_stepped(step))
            row.addWidget(button)
        self.note = text_label("", "dim")
        self.field = PlainEdit(readOnly=True, undoRedoEnabled=False)
        self.field.setAccessibleName(tr("Text of the file"))
        self.field.verticalScrollBar().valueChanged.connect(self._on_scrolled)
        self.sheet = PageSheet()
        self.sheet.setAccessibleName(tr("Page of the file"))
        self.sheet.resized.connect(self._draw)
        self.sheet.turned.connect(self.page.stepBy)
        column.addWidget(self.note)
        column.addWidget(self.field, 1)
        column.addWidget(self.sheet, 1)
        self._filling = QTimer(self, interval=0)
        self._filling.timeout.connect(self._fill)
        self.begin("", "")

    def begin(self, name: str, sha256: str) -> None:
        """Show another document, which is not there yet."""
        self.name, self.sha256 = name, sha256
        self.title.setText(fit.code(name))
        self.show_passages([])

    def show_passages(
        self,
        passages: Sequence[Passage],
        *,
        path: Path | None = None,
        drawn: bool = False,
        note: str = "",
    ) -> None:
        """Show this text, or the `drawn` pages; `path` is the document's file, if it is there."""
        self._passages, self._starts, self._wanted = passages, [], None
        self._path, self._number, self._marked = path, 0, ""
        self._pages = [each.place.page or 0 for each in passages]
        self._show_note(note)
        self.open_button.setVisible(path is not None)
        self.copy_button.setVisible(bool(passages))
        self.as_text.setVisible(drawn)
        self.page.setVisible(any(self._pages))
        with QSignalBlocker(self.page):
            self.page.setMaximum(max(self._pages, default=1) or 1)
        self.page.setSuffix(f" / {self.page.maximum()}")
        self.field.setPlainText("")
        self._filling.start()
        with QSignalBlocker(self.as_text):
            self.as_text.setChecked(not drawn)
        self._show_kind()

    def show_passage(self, passage: Passage, marked: str) -> None:
        """Show a passage, with this part of it marked."""
        self._go_to(max(0, min(passage.number, len(self._passages) - 1)), marked)

    def show_page(self, number: int, page: DrawnPage) -> None:
        """A page that was wanted has been drawn."""
        if number == self.page.value():
            self.sheet.show_page(page)

    def show_text_instead(self, reason: str) -> None:
        """A page cannot be drawn."""
        self.as_text.setChecked(True)
        self._show_note(reason)

    @property
    def _is_drawn(self) -> bool:
        return not self.as_text.isChecked()

    @Slot()
    def _show_kind(self) -> None:
        self.field.setVisible(not self._is_drawn)
        self.sheet.setVisible(self._is_drawn)
        if self._is_drawn:
            self._draw()
        elif self._starts:
            self._go_to(self._number, self._marked)

    @Slot()
    def _draw(self) -> None:
        if self._is_drawn and self._passages:
            self.page_wanted.emit(self.page.value(), self.sheet.width_px, self._marked)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc closes it; Page up and down turn a drawn page."""
        step = {Qt.Key.Key_PageUp: -1, Qt.Key.Key_PageDown: 1}.get(Qt.Key(event.key()))
        if event.key() == Qt.Key.Key_Escape:
            self.closed.emit()
        elif step is not None and self._is_drawn:
            self.page.stepBy(step)
        else:
            super().keyPressEvent(event)

    @Slot()
    def _fill(self) -> None:
        """Add the next passages."""
        cursor, added = QTextCursor(self.field.document()), 0
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.beginEditBlock()
        formats = self._formats()
        while added < _SLICE and len(self._starts) < len(self._passages):
            number = len(self._starts)
            cursor.insertText(self._gap_above(number), formats[LineKind.TEXT])
            self._starts.append(cursor.position())
            for kind, line in passage_lines(self._passages[number]):
                cursor.insertText(self._shown_text(line), formats[kind])
            added += len(self._passages[number].text)
        cursor.endEditBlock()
        if len(self._starts) == len(self._passages):
            self._filling.stop()
        if self._wanted is not None:
            self._go_to(*self._wanted)

    def _formats(self) -> dict[LineKind, QTextCharFormat]:
        text, heading, row = QTextCharFormat(), QTextCharFormat(), QTextCharFormat()
        font = self.field.font()
        for each in (text, row):
            each.setFontPointSize(font.pointSizeF())
        heading.setFontPointSize(font.pointSizeF() * _HEADING_SIZE)
        heading.setFontWeight(QFont.Weight.DemiBold)
        row.setFontFamilies(mono(font).families())
        return {LineKind.TEXT: text, LineKind.HEADING: heading, LineKind.ROW: row}

    def _gap_above(self, number: int) -> str:
        """The text between a passage and the one before: blank lines, and a page's number."""
        before = self._passages[number - 1] if number else None
        place = self._passages[number].place
        gap = BETWEEN_BLOCKS if before and self._passages[number].start > before.end else ""
        if before and (place.page, place.sheet) == (before.place.page, before.place.sheet):
            return gap
        label = Place(page=place.page, sheet=place.sheet).label()
        return f"{gap}— {label} —{BETWEEN_BLOCKS}" if label else gap

    def _go_to(self, number: int, marked: str = "") -> None:
        """Show a passage, with a part of it marked; in a text once it is there."""
        self._number, self._marked, self._wanted = number, marked, None
        if self._is_drawn:
            self._show_page(number)
            self._draw()
            return
        if number >= len(self._starts):
            self._wanted = number, marked
            return
        place = self._place_of(number, marked)
        cursor = QTextCursor(self.field.document())
        cursor.setPosition(place[0] if place is not None else self._starts[number])
        self.field.setTextCursor(cursor)
        self.field.centerCursor()
        self._show_page(number)
        if place is not None:
            selection = QTextEdit.ExtraSelection()
            cursor.setPosition(place[1], QTextCursor.MoveMode.KeepAnchor)
            selection.cursor = cursor
            colour = QColor(chat_colours().accent)
            colour.setAlpha(_MARK_ALPHA)
            selection.format.setBackground(colour)
            self.field.setExtraSelections([selection])

    def _place_of(self, number: int, marked: str) -> tuple[int, int] | None:
        """The positions of a text of a passage that is shown."""
        if not marked:
            return None
        cursor, start = QTextCursor(self.field.document()), self._starts[number]
        cursor.setPosition(start)
        if number + 1 < len(self._starts):
            cursor.setPosition(self._starts[number + 1], QTextCursor.MoveMode.KeepAnchor)
        else:
            cursor.movePosition(cursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        shown = cursor.selectedText()
        if (found := place_of(self._shown_text(marked), shown)) is None:
            return None
        # Qt counts characters beyond the first 65,536 twice.
        first, last = (len(shown[:at].encode("utf-16-le")) // 2 for at in found)
        return start + first, start + last

    @staticmethod
    def _shown_text(text: str) -> str:
        return fit.breakable(fit.code(fit.newlines(text)))

    @Slot()
    def _on_scrolled(self) -> None:
        if self._starts and not self._is_drawn:
            middle = self.field.cursorForPosition(self.field.contentsRect().center()).position()
            self._show_page(max(0, bisect_right(self._starts, middle) - 1))

    def _show_page(self, number: int) -> None:
        with QSignalBlocker(self.page):
            self.page.setValue(self._pages[number])

    @Slot(int)
    def _on_page(self, page: int) -> None:
        number = min(bisect_left(self._pages, page), len(self._passages) - 1)
        if self._is_drawn:  # one without text too
            self._number, self._marked = number, ""
            self._draw()
        else:
            self._go_to(number)

    @Slot(int)
    def _on_stepped(self, step: int) -> None:
        """Show the next match, or the one before; behind the last comes the first."""
        text, found = self.find_field.text(), True
        if text.strip() and self._is_drawn:
            found = self._find_page(text, step)
        elif text.strip():
            flags = _BACKWARD if step < 0 else QTextDocument.FindFlag(0)
            if not (found := self.field.find(text, flags)):
                ends = QTextCursor.MoveOperation
                self.field.moveCursor(ends.End if step < 0 else ends.Start)
                found = self.field.find(text, flags)
        self._show_note("" if found else tr("Not found"))

    def _find_page(self, text: str, step: int) -> bool:
        """Show the next page with a text, from the one that is shown on; whether there is one."""
        count, wanted = len(self._passages), text.casefold()
        for away in range(1, count + 1):
            number = (self._number + step * away) % count
            if wanted in self._passages[number].text.casefold():
                self._go_to(number, text)
                return True
        return False

    @Slot()
    def _on_open(self) -> None:
        if self._path is not None:
            self.file_wanted.emit(self._path)

    @Slot()
    def _on_copy(self) -> None:
        """What is selected, or else marked, or else the passage."""
        selected = self.field.textCursor().selectedText() if not self._is_drawn else ""
        passage = self._passages[self._number]
        text = selected.replace("\u2029", "\n") or self._marked or passage.text
        self.copied.emit(text, passage.place.label())

    def _show_note(self, note: str) -> None:
        self.note.setText(note)
        self.note.setVisible(bool(note))
