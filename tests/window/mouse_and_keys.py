"""The mouse and the keyboard as a person uses them: on what is seen, to what has the focus."""

from collections.abc import Iterator
from pathlib import Path

from PySide6.QtCore import QMimeData, QModelIndex, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QAbstractItemView, QApplication, QFileDialog, QWidget

NO_KEYS = Qt.KeyboardModifier.NoModifier


def click(widget: QWidget) -> None:
    """Click the middle of a widget."""
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton, NO_KEYS, widget.rect().center())


def click_row(view: QAbstractItemView, text: str, *, double: bool = False) -> None:
    """Click the row that begins with a text once, or twice."""
    index = row_of(view, text)
    view.scrollTo(index)
    spot = view.visualRect(index).center()
    QTest.mouseMove(view.viewport(), spot)
    QTest.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, NO_KEYS, spot)
    if double:
        QTest.mouseDClick(view.viewport(), Qt.MouseButton.LeftButton, NO_KEYS, QPoint(spot))


def row_of(view: QAbstractItemView, text: str) -> QModelIndex:
    """The row that begins with a text."""
    return next(_rows(view, text))


def has_row(view: QAbstractItemView, text: str) -> bool:
    """True where a row begins with a text."""
    return any(True for _ in _rows(view, text))


def _rows(view: QAbstractItemView, text: str) -> Iterator[QModelIndex]:
    model = view.model()
    rows = (model.index(number, 0) for number in range(model.rowCount()))
    return (row for row in rows if str(row.data()).startswith(text))


def focused() -> QWidget:
    """The widget that has the focus."""
    widget = QApplication.focusWidget()
    assert widget is not None, "nothing has the focus"
    return widget


def type_text(text: str) -> None:
    """Type, whatever has the focus with each letter."""
    for letter in text:
        QTest.keyClicks(focused(), letter)


def type_line(text: str) -> None:
    """Type, and press Enter."""
    type_text(text)
    press(Qt.Key.Key_Return)


def press(key: Qt.Key, modifiers: Qt.KeyboardModifier = NO_KEYS) -> None:
    """Press a key, whatever has the focus."""
    QTest.keyClick(focused(), key, modifiers)


def press_button(inside: QWidget, name: str) -> None:
    """Click the visible button with this text or accessible name."""
    buttons = (b for b in inside.findChildren(QAbstractButton) if b.isVisible())
    click(next(b for b in buttons if name in (b.text(), b.accessibleName())))


def choose_file(inside: QWidget, path: Path) -> None:
    """Choose a file in the dialog that was opened last, and close it."""
    dialog = inside.findChildren(QFileDialog)[-1]
    dialog.filesSelected.emit([str(path)])
    dialog.fileSelected.emit(str(path))
    dialog.reject()


def files_of(*paths: Path) -> QMimeData:
    """Files as a file manager hands them over."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    data.setText("\n".join(str(path) for path in paths))
    return data


def drag(window: QWidget, data: QMimeData) -> tuple[object, ...]:
    """Hold something over a window; the arguments of a drop there, without its place.

    The caller keeps `data`.
    """
    arguments = (Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, NO_KEYS)
    enter = QDragEnterEvent(QPoint(5, 5), *arguments)
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    return arguments


def drop(window: QWidget, *paths: Path) -> None:
    """Drop files onto a window."""
    data = files_of(*paths)  # Qt's events only point to it
    event = QDropEvent(QPointF(5, 5), *drag(window, data))
    QApplication.sendEvent(window, event)
    assert event.isAccepted()
