"""A document beside the chat: its pages as they are drawn, or its text, with a place marked."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QEvent, QSignalBlocker, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QHBoxLayout, QSpinBox, QToolButton, QVBoxLayout, QWidget

from deepseek_r1.core.i18n import tr
from deepseek_r1.documents.document import PICTURE_MARK, Passage, Place
from deepseek_r1.documents.page_drawing import DrawnPage
from r1desk.chat.messages.document_views import DocumentText, PageSheet
from r1desk.chat.messages.text_finder import FindField
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.buttons import icon_button
from r1desk.widgets.layouts import filled, put_inside, with_properties
from r1desk.widgets.text_label import ElidedLabel, call_with, text_label


class DocumentPane(QWidget):
    """A document, its pages where they can be drawn."""

    # a page, from 1, its width in pixels, and the text that is marked on it
    page_wanted = Signal(int, int, str)
    file_wanted = Signal(Path)  # its path is to be opened
    copied = Signal(str, str)  # a text of it, and the text's place

    def __init__(self) -> None:
        super().__init__()
        self.name = self.sha256 = ""
        self._path: Path | None = None
        self._passages: Sequence[Passage] = ()
        self._pages: list[int] = []  # of all passages
        self._marked = ""
        self._has_dots = False
        self._reason = ""  # why there is no more
        self._number = self._at = 0  # of the passage that was chosen, and that is seen
        self.title = ElidedLabel()
        self.open_button = icon_button("file", tr("Open the file"), self)
        self.open_button.clicked.connect(self._on_open)
        self.copy_button = icon_button("copy", tr("Copy with source"), self)
        self.copy_button.clicked.connect(self._on_copy)
        self.as_text = with_properties(
            QToolButton(),
            text=tr("Text"),
            toolTip=tr("Show text instead of the page"),
            checkable=True,
            autoRaise=True,
        )
        self.as_text.toggled.connect(self._show_kind)
        self.close_button = icon_button("close", tr("Close the document (Esc)"), self)
        column = filled(QVBoxLayout(self), spacing=6, margins=(12, 8, 12, 10))
        row = put_inside(column, QHBoxLayout())
        row.addWidget(self.title, 1)
        for button in (self.as_text, self.copy_button, self.open_button, self.close_button):
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
        self.find_field.escaped.connect(self.close_button.click)
        self.place = ElidedLabel()  # where there are no pages
        row.addWidget(self.page)
        row.addWidget(self.place, 1)
        row.addWidget(self.find_field, 1)
        for icon, label, step in (
            ("chevron-left", tr("Previous match (Shift+Enter)"), -1),
            ("chevron-right", tr("Next match (Enter)"), 1),
        ):
            button = icon_button(icon, label, self)
            call_with(button.clicked, self._on_stepped, step)
            row.addWidget(button)
        self.note = text_label("", "dim")
        self.field = DocumentText()
        self.field.setAccessibleName(tr("Text of the file"))
        self.field.scrolled_to.connect(self._on_scrolled)
        self.sheet = PageSheet()
        self.sheet.setAccessibleName(tr("Page of the file"))
        self.sheet.settled.timeout.connect(self._draw)
        self.sheet.turned.connect(self.page.stepBy)
        column.addWidget(self.note)
        column.addWidget(self.field, 1)
        column.addWidget(self.sheet, 1)
        self.begin("", "")

    def begin(self, name: str, sha256: str) -> None:
        """Show another document, which is not there yet."""
        self.name, self.sha256 = name, sha256
        self.title.setText(fit.code(name))
        self.find_field.clear()
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
        self._passages, self._path, self._number, self._marked = passages, path, 0, ""
        self._at, self._pages = 0, [each.place.page or 0 for each in passages]
        self.open_button.setVisible(path is not None)
        self.copy_button.setVisible(bool(passages))
        self.as_text.setVisible(drawn)
        self.page.setVisible(any(self._pages))
        with QSignalBlocker(self.page):
            self.page.setMaximum(max(self._pages, default=1) or 1)
        self.page.setSuffix(f" / {self.page.maximum()}")
        self.place.setVisible(not any(self._pages) and any(map(_place_label, passages)))
        self.place.setText(_place_label(passages[0]) if passages else "")
        self._has_dots = False
        self._reason = note
        self._show_note()
        self.field.show_passages(passages)
        with QSignalBlocker(self.as_text):
            self.as_text.setChecked(not drawn)
        self._show_kind()

    def show_passage(self, passage: Passage, marked: str) -> None:
        number = max(0, min(passage.number, len(self._passages) - 1))
        self._go_to(number, PICTURE_MARK.sub("", marked))

    def show_page(self, number: int, page: DrawnPage) -> None:
        if number == self.page.value():
            self.sheet.show_page(page)
            self._has_dots = bool(page.doubtful)
            self._show_note()

    def show_text_instead(self, reason: str) -> None:
        """A page cannot be drawn."""
        self._reason = reason
        self.as_text.setChecked(True)
        self._show_note()

    @property
    def _is_drawn(self) -> bool:
        return not self.as_text.isChecked()

    @Slot()
    def _show_kind(self) -> None:
        both = self.sheet, self.field
        shown, hidden = both if self._is_drawn else reversed(both)
        shown.show()
        self.setFocusProxy(shown)
        if hidden.hasFocus():
            shown.setFocus()
        hidden.hide()
        if self._is_drawn:
            self._draw()
        else:
            self._show_note()
            self.field.go_to(self._number, self._marked)

    @Slot()
    def _draw(self) -> None:
        if self._is_drawn and self._passages:
            self.page_wanted.emit(self.page.value(), self.sheet.width_px, self._marked)

    def event(self, event: QEvent) -> bool:
        """Take Ctrl+F from the window, where it looks for text in the chat."""
        is_find = isinstance(event, QKeyEvent) and event.matches(QKeySequence.StandardKey.Find)
        if is_find and event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Esc closes it; Page up and down are the page's, wherever the keyboard is in here.

        Ctrl+F and F3 lead to the field that searches in it.
        """
        if event.key() == Qt.Key.Key_Escape:
            self.close_button.click()
        elif event.key() == Qt.Key.Key_F3 or event.matches(QKeySequence.StandardKey.Find):
            self.find_field.setFocus()
            self.find_field.selectAll()
        elif event.key() in {Qt.Key.Key_PageUp, Qt.Key.Key_PageDown} and self._is_drawn:
            self.sheet.keyPressEvent(event)
        else:
            super().keyPressEvent(event)

    def _go_to(self, number: int, marked: str = "") -> None:
        self._number, self._marked = number, marked
        if self._is_drawn:
            self._show_page(number)
            self._draw()
        else:
            self.field.go_to(number, marked)

    @Slot(int)
    def _on_scrolled(self, number: int) -> None:
        if not self._is_drawn:
            self._show_page(number)
            self._show_note()

    def _show_page(self, number: int) -> None:
        with QSignalBlocker(self.page):
            self.page.setValue(self._pages[number])
        self.place.setText(_place_label(self._passages[number]))
        self._at = number

    @Slot(int)
    def _on_page(self, page: int) -> None:
        number = min(bisect_left(self._pages, page), len(self._passages) - 1)
        if self._is_drawn:  # one without text too
            self._number, self._at, self._marked = number, number, ""
            self._draw()
        else:
            self._go_to(number)

    @Slot(int)
    def _on_stepped(self, step: int) -> None:
        text, found = self.find_field.text(), True
        if text.strip() and self._is_drawn:
            found = self._find_page(text, step)
        elif text.strip():
            found = self.field.find_next(text, step)
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
        selected = self.field.selected if not self._is_drawn else ""
        passage = self._passages[self._number]
        text = selected or self._marked or passage.text
        self.copied.emit(text, passage.place.label())

    def _show_note(self, note: str = "") -> None:
        """Show a sentence; without one how sure a text is that was read from a picture."""
        note = note or self._reason
        place = self._passages[self._at].place if self._passages else Place()
        is_there = not self._is_drawn or place.page in {None, self.page.value()}
        if not note and is_there and place.sure is not None:
            note = tr("Read from a picture · {share} sure", share=f"{place.sure:.0%}")
            if self._is_drawn and self._has_dots:
                note = f"{note} · {tr('dotted words may be wrong')}"
        self.note.setText(note)
        self.note.setVisible(bool(note))


def _place_label(passage: Passage) -> str:
    """The place of a passage; how sure its text is stands elsewhere."""
    return fit.code(replace(passage.place, sure=None).label())
