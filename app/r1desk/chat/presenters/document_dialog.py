"""Shows the text of a document at a place, with a passage marked; searches it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker, QSize, QTimer, Slot
from PySide6.QtGui import QColor, QTextCursor, QTextDocument
from PySide6.QtWidgets import QHBoxLayout, QSpinBox, QTextEdit, QWidget

from deepseek_r1.core.i18n import tr
from deepseek_r1.documents.document import BETWEEN_BLOCKS, Passage, Place
from r1desk.chat.messages.top_bars import FindField
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.buttons import icon_button
from r1desk.chat.text.colours import chat_colours
from r1desk.chat.text.editor import PlainEdit
from r1desk.widgets.bounded_dialog import BoundedDialog
from r1desk.widgets.layouts import put_inside, with_properties
from r1desk.widgets.text_label import text_label

_SUITED = QSize(760, 600)
_SLICE = 40_000  # characters that are added at a time
_MARK_ALPHA = 80
_BACKWARD = QTextDocument.FindFlag.FindBackward


def passages_of(text: str) -> list[Passage]:
    """Pieces of a text that has no places, to be shown as passages are."""
    pieces = enumerate(fit.paragraph_slices(text, _SLICE))
    return [Passage("", "", number, Place(), piece, 0, 0) for number, piece in pieces]


class DocumentDialog(BoundedDialog):
    """The text of a document, beside the conversation. A long one is filled in bit by bit."""

    def __init__(self, name: str, sha256: str, parent: QWidget) -> None:
        super().__init__(parent, fit.code(name), _SUITED)
        self.sha256 = sha256
        self._passages: Sequence[Passage] = ()
        self._starts: list[int] = []  # in the text shown, of the passages that it has so far
        self._pages: list[int] = []  # of all passages
        self._wanted: tuple[int, bool] | None = None  # a passage to be shown, and to be marked
        column = self.fill_column(spacing=8)
        row = put_inside(column, QHBoxLayout())
        self.page = with_properties(
            QSpinBox(), prefix=f"{tr('Page')} ", minimum=1, keyboardTracking=False
        )
        self.page.setAccessibleName(tr("Page"))
        self.page.lineEdit().setTextMargins(6, 0, 6, 0)
        self.page.valueChanged.connect(self._on_page)
        self.page.hide()
        self.find_field = FindField(tr("Find in this document"), self)
        self.find_field.stepped.connect(self._on_stepped)
        self.find_field.escaped.connect(self.reject)
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
        self.note.hide()
        self.field = PlainEdit(readOnly=True, undoRedoEnabled=False)
        self.field.setAccessibleName(tr("Text of the file"))
        self.field.verticalScrollBar().valueChanged.connect(self._on_scrolled)
        column.addWidget(self.note)
        column.addWidget(self.field, 1)
        self._filling = QTimer(self, interval=0)
        self._filling.timeout.connect(self._fill)

    def show_passages(
        self, passages: Sequence[Passage], at: Passage | None = None, note: str = ""
    ) -> None:
        """Show this text, at a passage of it, which is marked."""
        self._passages, self._starts = passages, []
        self._show_note(note)
        self._pages = [each.place.page or 0 for each in passages]
        self.page.setVisible(any(self._pages))
        self.page.setMaximum(max(self._pages, default=1) or 1)
        self.page.setSuffix(f" / {self.page.maximum()}")
        self.field.setPlainText("")
        self.field.setFocus()
        self._filling.start()
        if at is not None:
            self.show_passage(at)

    def show_passage(self, passage: Passage) -> None:
        """Show and mark a passage."""
        self._go_to(max(0, min(passage.number, len(self._passages) - 1)), marked=True)

    @Slot()
    def _fill(self) -> None:
        """Add the next passages."""
        cursor, added = QTextCursor(self.field.document()), 0
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.beginEditBlock()
        while added < _SLICE and len(self._starts) < len(self._passages):
            number = len(self._starts)
            text = fit.breakable(fit.code(fit.newlines(self._passages[number].text)))
            cursor.insertText(self._gap_above(number))
            self._starts.append(cursor.position())
            cursor.insertText(text)
            added += len(text)
        cursor.endEditBlock()
        if len(self._starts) == len(self._passages):
            self._filling.stop()
        if self._wanted is not None:
            number, marked = self._wanted
            self._go_to(number, marked=marked)

    def _gap_above(self, number: int) -> str:
        """The text between a passage and the one before: blank lines, and a page's number."""
        before = self._passages[number - 1] if number else None
        place = self._passages[number].place
        gap = BETWEEN_BLOCKS if before and self._passages[number].start > before.end else ""
        if before and (place.page, place.sheet) == (before.place.page, before.place.sheet):
            return gap
        label = Place(page=place.page, sheet=place.sheet).label()
        return f"{gap}— {label} —{BETWEEN_BLOCKS}" if label else gap

    def _go_to(self, number: int, *, marked: bool = False) -> None:
        """Show the text at a passage, and mark it; once it is there."""
        if number >= len(self._starts):
            self._wanted = number, marked
            return
        self._wanted = None
        cursor = QTextCursor(self.field.document())
        cursor.setPosition(self._starts[number])
        self.field.setTextCursor(cursor)
        self.field.centerCursor()
        self._show_page(number)
        if marked:
            selection = QTextEdit.ExtraSelection()
            length = len(self._passages[number].text)
            cursor.setPosition(self._starts[number] + length, QTextCursor.MoveMode.KeepAnchor)
            selection.cursor = cursor
            colour = QColor(chat_colours().accent)
            colour.setAlpha(_MARK_ALPHA)
            selection.format.setBackground(colour)
            self.field.setExtraSelections([selection])

    @Slot()
    def _on_scrolled(self) -> None:
        if self._starts:
            middle = self.field.cursorForPosition(self.field.contentsRect().center()).position()
            self._show_page(max(0, bisect_right(self._starts, middle) - 1))

    def _show_page(self, number: int) -> None:
        with QSignalBlocker(self.page):
            self.page.setValue(self._pages[number])

    @Slot(int)
    def _on_page(self, page: int) -> None:
        self._go_to(min(bisect_left(self._pages, page), len(self._passages) - 1))

    @Slot(int)
    def _on_stepped(self, step: int) -> None:
        """Select the next match, or the one before; behind the last comes the first."""
        text = self.find_field.text()
        flags = _BACKWARD if step < 0 else QTextDocument.FindFlag(0)
        if text.strip() and not self.field.find(text, flags):
            ends = QTextCursor.MoveOperation
            self.field.moveCursor(ends.End if step < 0 else ends.Start)
            self._show_note("" if self.field.find(text, flags) else tr("Not found"))
        else:
            self._show_note("")

    def _show_note(self, note: str) -> None:
        self.note.setText(note)
        self.note.setVisible(bool(note))
