"""A palette: one list of what can be done or opened, over the window, with a field to filter it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, Slot
from PySide6.QtGui import QAccessible, QAccessibleEvent, QFocusEvent, QKeyEvent
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
from r1desk.widgets.layouts import filled, with_properties
from r1desk.widgets.text_label import Action

_FIRST_SHOWN, _MOST_SHOWN = 6, 30  # of one group: without words, and with some
_WIDTH_EM, _LINES = 38, 14
_ENTRY = Qt.ItemDataRole.UserRole
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_STAYS = (Qt.FocusReason.PopupFocusReason, Qt.FocusReason.ActiveWindowFocusReason)


@dataclass(frozen=True, slots=True)
class PaletteEntry:
    """A thing to choose, below the heading of its group.

    `keys`, or a few words, stand at the end; a `note` begins where those of the others do.
    """

    group: str
    title: str
    run: Action
    keys: str = ""
    note: str = ""


def matching(entries: Sequence[PaletteEntry], text: str) -> dict[str, list[PaletteEntry]]:
    """By their groups, the entries that have all words of `text`, the best ones first."""
    terms = text.casefold().split()
    found = [each for each in entries if all(term in _searched(each) for term in terms)]
    groups: dict[str, list[PaletteEntry]] = {}
    for entry in sorted(found, key=partial(_distance, terms)):
        groups.setdefault(entry.group, []).append(entry)
    most = _MOST_SHOWN if terms or len(groups) < 3 else _FIRST_SHOWN
    return {group: of_group[:most] for group, of_group in groups.items()}


def _searched(entry: PaletteEntry) -> str:
    return f"{entry.title}\n{entry.group}".casefold()


def _distance(terms: Sequence[str], entry: PaletteEntry) -> int:
    """Of each word: 0 where the title begins with it, 1 where a word of it does, else 2.

    -1 where they are the title.
    """
    title = entry.title.casefold()
    if title.split() == terms:
        return -1
    return sum((not title.startswith(term)) + (f" {term}" not in f" {title}") for term in terms)


class Palette(QFrame):
    """Keeps the keyboard until something is chosen or it is left; then it is where it was."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self.setObjectName("palette")
        self._window = window
        self._entries: Sequence[PaletteEntry] = ()
        self._above: QWidget | None = None
        self._unused: Callable[[str], object] | None = None
        self._before: QWidget | None = None
        self.field = QLineEdit()
        self.field.textChanged.connect(self._fill)
        self.field.installEventFilter(self)
        properties = {"headerHidden": True, "rootIsDecorated": False, "uniformRowHeights": True}
        self.list = with_properties(QTreeWidget(columnCount=2), **properties)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setAccessibleName(tr("What was found"))
        self.list.header().setStretchLastSection(False)
        self.list.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.list.itemClicked.connect(self._choose)
        self.list.currentItemChanged.connect(self._on_current_changed)
        filled(QVBoxLayout(self), self.field, self.list, spacing=6, margins=(8, 8, 8, 8))
        self.hide()

    def open(
        self,
        entries: Sequence[PaletteEntry],
        label: str,
        above: QWidget | None = None,
        unused: Callable[[str], object] | None = None,
    ) -> None:
        """Show these, over the window's top or right above a widget.

        `unused` is given what was typed where the palette is left with Esc, or where it is more
        than a word and nothing matches.
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
        had_keyboard = self.field.hasFocus()
        self.hide()
        if had_keyboard and self._before is not None and isValid(self._before):
            self._before.setFocus()

    def _give_up(self) -> None:
        self.leave()
        if self._unused is not None:
            self._unused(self.field.text())

    def _place(self) -> None:
        """As high as its rows are, at the window's top or right above a widget."""
        window, em = self._window, self.fontMetrics().height()
        anchor = self._above or window
        width = min(_WIDTH_EM * em, anchor.width() - 2 * em)
        self.list.setColumnWidth(1, min(self.list.sizeHintForColumn(1), width * 3 // 5))
        lines = min(_LINES, self.list.topLevelItemCount()) * self.list.sizeHintForRow(0)
        height = min(lines + self.field.sizeHint().height() + 2 * em, window.height() - 4 * em)
        place = anchor.mapTo(window, QPoint((anchor.width() - width) // 2, 0))
        y = max(em, place.y() - height) if self._above else 3 * em
        self.setGeometry(place.x(), y, width, height)

    @Slot()
    def _fill(self) -> None:
        text = self.field.text()
        groups = matching(self._entries, text)
        nothing = tr("Nothing found.")
        if not groups and self._unused is not None:
            if not text.isalnum():  # no name is being typed
                self._give_up()
                return
            nothing = tr("No prompt begins with “{name}”.", name=text)
        self.list.clear()
        for group, entries in (groups or {nothing: []}).items():
            heading = QTreeWidgetItem(self.list, [group])
            heading.setFlags(Qt.ItemFlag.NoItemFlags)
            heading.setFirstColumnSpanned(True)
            for entry in entries:
                item = QTreeWidgetItem(self.list, [entry.title, entry.keys or entry.note])
                item.setData(0, _ENTRY, entry)
                item.setFirstColumnSpanned(not item.text(1))
                item.setForeground(1, self.palette().placeholderText())
                if entry.keys:
                    item.setTextAlignment(1, _RIGHT)
        if (first := self.list.topLevelItem(1)) is not None:  # behind a heading
            self.list.setCurrentItem(first)
        self._place()

    @Slot(QTreeWidgetItem)
    def _on_current_changed(self, item: QTreeWidgetItem | None) -> None:
        """Let screen readers say it: the field keeps the keyboard."""
        if item is not None and item.data(0, _ENTRY) is not None:  # a heading is it in passing
            focused = QAccessibleEvent(self.list, QAccessible.Event.Focus)
            focused.setChild(2 * self.list.indexOfTopLevelItem(item) + 2)  # cells, after a header
            QAccessible.updateAccessibility(focused)

    @Slot(QTreeWidgetItem)
    def _choose(self, item: QTreeWidgetItem | None) -> None:
        if item is not None and (entry := item.data(0, _ENTRY)) is not None:
            self.leave()
            entry.run()

    def eventFilter(self, _field: QObject, event: QEvent) -> bool:
        """Keys of the field that are for the list; without the keyboard it goes."""
        kind = event.type()
        leaves = isinstance(event, QFocusEvent) and event.reason() not in _STAYS
        if kind == QEvent.Type.FocusOut and leaves:
            self.hide()
        if not isinstance(event, QKeyEvent):
            return False
        if kind == QEvent.Type.ShortcutOverride and event.key() == Qt.Key.Key_Escape:
            event.accept()  # else it stops an answer
            return True
        if kind != QEvent.Type.KeyPress:
            return False
        match event.key():
            case Qt.Key.Key_Down | Qt.Key.Key_Up | Qt.Key.Key_PageDown | Qt.Key.Key_PageUp:
                QApplication.sendEvent(self.list, event)
            case Qt.Key.Key_Return | Qt.Key.Key_Enter:
                self._choose(self.list.currentItem())
            case Qt.Key.Key_Escape:
                self._give_up()
            case _:
                return False
        return True
