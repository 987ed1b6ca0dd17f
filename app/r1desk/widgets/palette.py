"""A palette: one list of what can be done or opened, over the window, with a field to filter it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, Slot
from PySide6.QtGui import QAccessible, QAccessibleEvent, QKeyEvent, QPalette
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QHeaderView,
    QLineEdit,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)
from shiboken6 import isValid

from deepseek_r1.core.i18n import tr
from r1desk.widgets.layouts import filled

_FIRST_SHOWN, _MOST_SHOWN = 6, 30  # of one group: without words, and with some
_WIDTH_EM, _KEYS_EM, _LINES = 38, 11, 14
_ENTRY = Qt.ItemDataRole.UserRole
_STEPS = (Qt.Key.Key_Down, Qt.Key.Key_Up, Qt.Key.Key_PageDown, Qt.Key.Key_PageUp)
_STAYS = (Qt.FocusReason.PopupFocusReason, Qt.FocusReason.ActiveWindowFocusReason)


@dataclass(frozen=True, slots=True)
class PaletteEntry:
    """A thing to choose, below the heading of its group. `keys`, or a note, stands at the end."""

    group: str
    title: str
    run: Callable[[], object]
    keys: str = ""


def matching(entries: Sequence[PaletteEntry], text: str) -> list[PaletteEntry]:
    """The entries that have all words of `text`, the group with the best one first."""
    terms = text.casefold().split()
    ranks: dict[str, list[tuple[int, int, PaletteEntry]]] = {}
    for place, entry in enumerate(entries):
        found = [_rank(term, entry) for term in terms]
        if None not in found:
            ranked = (sum(filter(None, found)), place, entry)
            ranks.setdefault(entry.group, []).append(ranked)
    groups = sorted(map(sorted, ranks.values()), key=lambda group: group[0][0])
    most = _MOST_SHOWN if terms or len(groups) < 3 else _FIRST_SHOWN
    return [entry for group in groups for _, _, entry in group[:most]]


def _rank(term: str, entry: PaletteEntry) -> int | None:
    """0 at the beginning of the title, then of a word, then anywhere; None where it is not."""
    title, group = entry.title.casefold(), entry.group.casefold()
    found = (title.startswith(term), f" {term}" in title, term in title, term in group)
    return found.index(True) if any(found) else None


class Palette(QFrame):
    """Keeps the keyboard until something is chosen or it is left; then it is where it was."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self.setObjectName("palette")
        self._entries: Sequence[PaletteEntry] = ()
        self._above: QWidget | None = None
        self._unused: Callable[[str], None] | None = None
        self._before: QWidget | None = None
        self.field = QLineEdit()
        self.field.textChanged.connect(self._fill)
        self.field.installEventFilter(self)
        self.list = QTreeWidget(columnCount=2, headerHidden=True, rootIsDecorated=False)
        self.list.setUniformRowHeights(True)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setAccessibleName(tr("What was found"))
        header = self.list.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.list.itemClicked.connect(self._choose)
        self.list.currentItemChanged.connect(self._on_current_changed)
        filled(QVBoxLayout(self), self.field, self.list, spacing=6, margins=(8, 8, 8, 8))
        self.hide()

    def open(
        self,
        entries: Sequence[PaletteEntry],
        label: str,
        above: QWidget | None = None,
        unused: Callable[[str], None] | None = None,
    ) -> None:
        """Show these, over the window's top or right above a widget.

        `unused` is given what was typed where the palette is left with Esc, or nothing matches.
        """
        self._entries, self._above, self._unused = entries, above, unused
        self._before = QApplication.focusWidget()
        self.field.setPlaceholderText(label)
        self.field.setAccessibleName(label)
        self.field.clear()
        self._fill()
        self.show()
        self.raise_()
        self.field.setFocus()

    def leave(self) -> None:
        """Close, and give the keyboard back."""
        before, self._before = self._before, None
        had_keyboard = self.field.hasFocus()
        self.hide()
        if had_keyboard and before is not None and isValid(before):
            before.setFocus()

    def _place(self) -> None:
        """As high as its rows are, at the window's top or right above a widget."""
        window, em = self.parentWidget(), self.fontMetrics().height()
        anchor = self._above or window
        self.list.setColumnWidth(1, _KEYS_EM * em)
        width = min(_WIDTH_EM * em, anchor.width() - 2 * em)
        lines = min(_LINES, self.list.topLevelItemCount()) * self.list.sizeHintForRow(0)
        height = min(lines + self.field.sizeHint().height() + 2 * em, window.height() - 4 * em)
        place = anchor.mapTo(window, QPoint((anchor.width() - width) // 2, 0))
        y = max(em, place.y() - height) if self._above else 3 * em
        self.setGeometry(place.x(), y, width, height)

    @Slot()
    def _fill(self) -> None:
        text = self.field.text()
        found = matching(self._entries, text)
        if not found and self._unused is not None:
            self._give_up(text)
            return
        self.list.clear()
        dim = self.palette().brush(QPalette.ColorRole.PlaceholderText)
        heading = ""
        for entry in found:
            if entry.group != heading:
                heading = entry.group
                self._add_heading(heading)
            item = QTreeWidgetItem(self.list, [entry.title, entry.keys])
            item.setData(0, _ENTRY, entry)
            item.setForeground(1, dim)
            item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if not found:
            self._add_heading(tr("Nothing found."))
        else:
            self.list.setCurrentItem(self.list.topLevelItem(1))  # the first is a heading
            self.list.scrollToTop()
        self._place()

    def _add_heading(self, text: str) -> None:
        item = QTreeWidgetItem(self.list, [text])
        item.setFlags(Qt.ItemFlag.NoItemFlags)
        item.setFirstColumnSpanned(True)

    @Slot(QTreeWidgetItem)
    def _on_current_changed(self, item: QTreeWidgetItem | None) -> None:
        """Let screen readers say it: the field keeps the keyboard."""
        if item is not None:
            focused = QAccessibleEvent(self.list, QAccessible.Event.Focus)
            focused.setChild(2 * self.list.indexOfTopLevelItem(item) + 2)  # cells, after a header
            QAccessible.updateAccessibility(focused)

    @Slot(QTreeWidgetItem)
    def _choose(self, item: QTreeWidgetItem | None) -> None:
        if item is not None and (entry := item.data(0, _ENTRY)) is not None:
            self.leave()
            entry.run()

    def _give_up(self, text: str) -> None:
        unused, self._unused = self._unused, None
        self.leave()
        if unused is not None:
            unused(text)

    def eventFilter(self, _field: QObject, event: QEvent) -> bool:
        """Keys of the field that are for the list."""
        kind = event.type()
        if kind == QEvent.Type.FocusOut and event.reason() not in _STAYS:
            self.hide()
        if not isinstance(event, QKeyEvent):
            return False
        key = event.key()
        if kind == QEvent.Type.ShortcutOverride and key == Qt.Key.Key_Escape:
            event.accept()  # else it stops an answer
        elif kind != QEvent.Type.KeyPress:
            return False
        elif key in _STEPS:
            QApplication.sendEvent(self.list, event)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._choose(self.list.currentItem())
        elif key == Qt.Key.Key_Escape:
            self._give_up(self.field.text())
        else:
            return False
        return True
