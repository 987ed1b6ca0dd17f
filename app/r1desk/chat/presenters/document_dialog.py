"""Shows the text of a document at a place, with a passage marked; searches it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from PySide6.QtCore import QSize, Signal, Slot
from PySide6.QtGui import QColor, QGuiApplication, QTextCursor, QTextDocument
from PySide6.QtWidgets import (
    QDialogButtonBox,
    QHBoxLayout,
    QPushButton,
    QSpinBox,
    QTextEdit,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core.i18n import tr
from deepseek_r1.documents.document import BETWEEN_BLOCKS, Passage, Place
from r1desk.chat.messages.top_bars import FindField
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.buttons import icon_button
from r1desk.chat.text.colours import chat_colours
from r1desk.chat.text.editor import PlainEdit
from r1desk.widgets.bounded_dialog import BoundedDialog
from r1desk.widgets.layouts import filled, put_inside
from r1desk.widgets.text_label import ElidedLabel, text_label

_SUITED = QSize(760, 600)
_BEFORE, _AFTER, _MORE = 3, 8, 6  # passages that are laid out at once
_PIECE = 1_500  # characters of a text without passages
_MARK_ALPHA = 80
_BACKWARD = QTextDocument.FindFlag.FindBackward


def passages_of(text: str) -> list[Passage]:
    """Pieces of a text that has no places, to be shown as passages are."""
    found: list[Passage] = []
    start = 0
    for number, piece in enumerate(fit.paragraph_slices(text, _PIECE)):
        found.append(Passage("", "", number, Place(), piece, start, start + len(piece)))
        start += len(piece)
    return found


class DocumentText(PlainEdit):
    """The passages around the place that is read; scrolling lays out more.

    Signals:
        place_changed: the Passage in the middle.
    """

    place_changed = Signal(object)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setReadOnly(True)
        self.setUndoRedoEnabled(False)
        self.setAccessibleName(tr("Text of the file"))
        self._passages: Sequence[Passage] = ()
        self._first = 0  # the passage that is laid out first
        self._spans: list[tuple[int, int]] = []  # of each that is laid out
        self._filling = False
        self.verticalScrollBar().valueChanged.connect(self._on_scrolled)

    def show_passages(self, passages: Sequence[Passage]) -> None:
        """Show another document, from its beginning."""
        self._passages = passages
        self.go_to(0)

    def go_to(self, number: int, *, marked: bool = False) -> None:
        """Show the text at a passage, and mark it."""
        self._filling = True
        self.setPlainText("")
        self._first, self._spans = max(0, number - _BEFORE), []
        self._insert(self._first, number + _AFTER)
        self._filling = False
        if not self._passages:
            return
        cursor = QTextCursor(self.document())
        start, end = self._spans[number - self._first]
        cursor.setPosition(start)
        self.setTextCursor(cursor)
        self._mark(start, end if marked else start)
        self.centerCursor()
        self._on_scrolled()

    def _mark(self, start: int, end: int) -> None:
        selection = QTextEdit.ExtraSelection()
        selection.cursor = QTextCursor(self.document())
        selection.cursor.setPosition(start)
        selection.cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
        colour = QColor(chat_colours().accent)
        colour.setAlpha(_MARK_ALPHA)
        selection.format.setBackground(colour)
        self.setExtraSelections([selection] if end > start else [])

    def _insert(self, first: int, end: int) -> None:
        """Lay out passages behind the others."""
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        for number in range(first, min(end, len(self._passages))):
            cursor.insertText(self._gap_above(number))
            start = cursor.position()
            cursor.insertText(self._drawn(number))
            self._spans.append((start, cursor.position()))

    def _drawn(self, number: int) -> str:
        return fit.breakable(fit.code(fit.newlines(self._passages[number].text)))

    def _gap_above(self, number: int) -> str:
        """The text between a passage and the one before: blank lines, and a page's number."""
        before = self._passages[number - 1] if number else None
        place = self._passages[number].place
        coarse = Place(page=place.page, sheet=place.sheet)
        gap = ""
        if before is not None and number > self._first:
            gap = BETWEEN_BLOCKS if self._passages[number].start > before.end else ""
        there = (place.page, place.sheet)
        if before is not None and there == (before.place.page, before.place.sheet):
            return gap
        return f"{gap}— {coarse.label()} —{BETWEEN_BLOCKS}" if coarse.label() else gap

    @Slot()
    def _on_scrolled(self) -> None:
        if self._filling or not self._passages:
            return
        self._filling = True
        bar = self.verticalScrollBar()
        end = self._first + len(self._spans)
        if bar.value() >= bar.maximum() - bar.pageStep():
            self._insert(end, end + _MORE)
        if bar.value() <= 1 and self._first:
            self._show_above()
        self._filling = False
        middle = self.cursorForPosition(self.contentsRect().center()).position()
        at = max(0, bisect_right(self._spans, (middle, middle)) - 1)
        self.place_changed.emit(self._passages[self._first + at])

    def _show_above(self) -> None:
        """Lay out passages above the others; what is read stays where it is."""
        top = self.firstVisibleBlock().blockNumber()
        marked = [
            (s.cursor.selectionStart(), s.cursor.selectionEnd()) for s in self.extraSelections()
        ]
        below, blocks, cursor = self._spans, self.blockCount(), QTextCursor(self.document())
        number, self._first = self._first, max(0, self._first - _MORE)
        pieces = []
        for each in range(self._first, number):
            pieces += [self._gap_above(each), self._drawn(each)]
        above: list[tuple[int, int]] = []
        for at, piece in enumerate([*pieces, self._gap_above(number)]):
            start = cursor.position()
            cursor.insertText(piece)
            above += [(start, cursor.position())] if at % 2 else []
        shift = cursor.position()
        self._spans = [*above, *((start + shift, end + shift) for start, end in below)]
        for start, end in marked:
            self._mark(start + shift, end + shift)
        added = self.blockCount() - blocks
        block = self.document().begin()
        for _ in range(added + top):  # laid out, so that their lines count
            self.document().documentLayout().blockBoundingRect(block)
            block = block.next()
        self.verticalScrollBar().setValue(block.firstLineNumber())

    def find_next(self, text: str, *, back: bool = False) -> bool:
        """Select the next match, or the one before; behind the last comes the first."""
        flags = _BACKWARD if back else QTextDocument.FindFlag(0)
        if not text.strip() or self.find(text, flags):
            return bool(text.strip())
        count, wanted = len(self._passages), text.casefold()
        here = self._first if back else self._first + len(self._spans) - 1
        for step in range(1, count + 1):
            number = (here + (-step if back else step)) % count
            if wanted in self._passages[number].text.casefold():
                self.go_to(number)
                if back:
                    self.moveCursor(QTextCursor.MoveOperation.End)
                return self.find(text, flags)
        return False


class DocumentDialog(BoundedDialog):
    """The text of a document, beside the conversation."""

    def __init__(self, name: str, sha256: str, parent: QWidget) -> None:
        super().__init__(parent, fit.code(name), _SUITED)
        self.sha256 = sha256
        self._passages: Sequence[Passage] = ()
        self._pages: list[int] = []
        body = QWidget()
        column = filled(QVBoxLayout(body), spacing=8)
        row = put_inside(column, QHBoxLayout())
        self.place = ElidedLabel()
        self.page = QSpinBox(prefix=f"{tr('Page')} ", minimum=1, keyboardTracking=False)
        self.page.setAccessibleName(tr("Page"))
        self.page.valueChanged.connect(self._on_page)
        self.find_field = FindField(body)
        self.find_field.setPlaceholderText(tr("Find in this document"))
        self.find_field.setAccessibleName(tr("Find in this document"))
        self.find_field.stepped.connect(self._on_stepped)
        self.find_field.escaped.connect(self.reject)
        row.addWidget(self.place, 1)
        row.addWidget(self.page)
        row.addWidget(self.find_field, 1)
        for icon, label, step in (
            ("chevron-left", tr("Match before (Shift+Enter)"), -1),
            ("chevron-right", tr("Next match (Enter)"), 1),
        ):
            button = icon_button(icon, label, body)
            button.clicked.connect(lambda _checked, step=step: self._on_stepped(step))
            row.addWidget(button)
        self.note = text_label("", "dim")
        self.note.hide()
        self.field = DocumentText(body)
        self.field.place_changed.connect(self._on_place)
        column.addWidget(self.note)
        column.addWidget(self.field, 1)
        self.page.hide()
        self.set_body(body)
        copy = QPushButton(tr("Copy"))
        copy.clicked.connect(self._on_copy)
        self.buttons.addButton(copy, QDialogButtonBox.ButtonRole.ActionRole)

    def show_passages(
        self, passages: Sequence[Passage], at: Passage | None = None, note: str = ""
    ) -> None:
        """Show this text, at a passage of it, which is marked."""
        self._passages = passages
        self.note.setText(note)
        self.note.setVisible(bool(note))
        self._pages = [each.place.page or 0 for each in passages]
        self.page.setVisible(any(self._pages))
        self.place.setVisible(not any(self._pages))
        self.page.setMaximum(max(self._pages, default=1) or 1)
        self.page.setSuffix(f" / {self.page.maximum()}")
        self.field.show_passages(passages)
        self.field.setFocus()
        if at is not None:
            self.show_passage(at)

    def show_passage(self, passage: Passage) -> None:
        """Show and mark a passage."""
        starts = [each.start for each in self._passages]
        number = max(0, bisect_right(starts, passage.start) - 1)
        if self._passages:
            self.field.go_to(number, marked=True)

    @Slot(object)
    def _on_place(self, passage: Passage) -> None:
        self.place.setText(fit.prose(passage.place.label()))
        self.page.blockSignals(True)
        self.page.setValue(passage.place.page or 1)
        self.page.blockSignals(False)

    @Slot(int)
    def _on_page(self, page: int) -> None:
        self.field.go_to(min(bisect_left(self._pages, page), len(self._passages) - 1))

    @Slot(int)
    def _on_stepped(self, step: int) -> None:
        found = self.field.find_next(self.find_field.text(), back=step < 0)
        self.note.setText("" if found else tr("Not found"))
        self.note.setVisible(not found and bool(self.find_field.text()))

    @Slot()
    def _on_copy(self) -> None:
        text, end = "", 0
        for each in self._passages:
            text += BETWEEN_BLOCKS * (each.start > end) + each.text
            end = each.end
        QGuiApplication.clipboard().setText(fit.clipped(text))
