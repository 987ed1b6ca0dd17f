"""The real application, which also reports where its widgets are and in which state it is.

    python -m window.located_window      # R1DESK_PROFILE selects the profile

Reads one JSON command a line from its input and replies with one JSON line each: `where` gives the
middle of what a text names, in pixels of the screen, `facts` the state, and `copy` fills the
clipboard. Nothing is clicked or typed here: mouse and keyboard are those of the screen (`day.py`).
"""

from __future__ import annotations

from r1desk.platform import interpreter_setup, plain_imports  # noqa: F401 - first, as in `r1desk`

# isort: split
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

from PySide6.QtCore import QPoint, QRect, QSocketNotifier, Slot
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QApplication,
    QLabel,
    QMenu,
    QScrollArea,
    QTabBar,
    QWidget,
)

from deepseek_r1.catalogue.retry_policy import RetryPolicy
from r1desk.shell import startup
from r1desk.shell.session import Session

Place = tuple[QWidget, QRect]


class LocatedSession(Session):
    """Serves the commands; downloads may come from this computer."""

    def show(self) -> None:
        """Show the window and read commands from now on."""
        self.downloads.policy = RetryPolicy(loopback_http=True)
        self._unread = b""
        self._commands = QSocketNotifier(sys.stdin.fileno(), QSocketNotifier.Type.Read, self)
        self._commands.activated.connect(self._on_input)
        super().show()

    @Slot()
    def _on_input(self) -> None:
        part = os.read(sys.stdin.fileno(), 65_536)
        if not part:
            self._commands.setEnabled(False)
            self.window.close()
            return
        *lines, self._unread = (self._unread + part).split(b"\n")
        for line in lines:
            command: dict[str, Any] = json.loads(line)
            reply = getattr(self, "do_" + command.pop("do"))(**command)
            print(json.dumps(reply), flush=True)

    def do_where(self, text: str, last: bool = False, kind: str = "QWidget") -> dict[str, Any]:
        """The middle of the first (or last) widget, row, tab or entry that `text` names."""
        found = [each for each in places(text) if is_a(each[0], kind)]
        if not found:
            return {"found": False}
        widget, rect = found[-1 if last else 0]
        middle = widget.mapToGlobal(rect.center()) * widget.devicePixelRatio()
        return {"found": True, "x": middle.x(), "y": middle.y()}

    def do_copy(self, text: str) -> dict[str, Any]:
        """Put a text into the clipboard."""
        QApplication.clipboard().setText(text)
        return {"copied": len(text)}

    def do_facts(self) -> dict[str, Any]:
        """The state that a person sees."""
        shown, focused = self.window.notices.notice, QApplication.focusWidget()
        modal = QApplication.activeModalWidget()
        branch = self.chat.shown_branch
        return {
            "busy": self.chat.busy,
            "loaded": self.models.name if self.models.ready else "",
            "messages": len(branch),
            "last": branch[-1].content[-200:] if branch else "",
            "state": str(branch[-1].state) if branch else "",
            "notice": shown.text if shown is not None else "",
            "focus": type(focused).__name__ if focused is not None else "",
            "dialog": type(modal).__name__ if modal is not None else "",
            "typed": self.window.composer.text(),
            "rows": self.window.sidebar.list.model().rowCount(),
            "outside": outside(modal) if modal is not None else [],
        }


def places(text: str) -> Iterator[Place]:
    """What `text` names, in the window that has the mouse first."""
    for window in windows():
        for widget in (window, *window.findChildren(QWidget)):
            if widget.isVisible() and not widget.visibleRegion().isEmpty():
                yield from ((widget, rect) for rect in rects(widget, text))


def is_a(widget: QWidget, kind: str) -> bool:
    """Return whether a widget is of the class of that name."""
    return any(each.__name__ == kind for each in type(widget).__mro__)


def windows() -> list[QWidget]:
    """The open popup or dialog alone, else all windows."""
    top = QApplication.activePopupWidget() or QApplication.activeModalWidget()
    return (
        [top] if top is not None else [w for w in QApplication.topLevelWidgets() if w.isVisible()]
    )


def rects(widget: QWidget, text: str) -> Iterator[QRect]:
    """The parts of one widget that `text` names."""
    if isinstance(widget, QTabBar):
        labels = ((widget.tabText(at), widget.tabRect(at)) for at in range(widget.count()))
        yield from (rect for label, rect in labels if plain(label) == text)
    elif isinstance(widget, QMenu):
        entries = ((each.text(), widget.actionGeometry(each)) for each in widget.actions())
        yield from (rect for label, rect in entries if plain(label).startswith(text))
    elif isinstance(widget, QAbstractItemView):
        yield from row_rects(widget, text)
    names = {widget.accessibleName(), widget.objectName()}
    if isinstance(widget, QAbstractButton | QLabel):
        names.add(plain(widget.text()))
    if text in names and widget.isEnabled():
        yield widget.visibleRegion().boundingRect()


def row_rects(view: QAbstractItemView, text: str) -> Iterator[QRect]:
    """The visible rows that begin with `text`."""
    model = view.model()
    for number in range(model.rowCount() if model is not None else 0):
        index = model.index(number, 0)
        rect = view.visualRect(index)
        if str(index.data()).startswith(text) and view.viewport().rect().intersects(rect):
            yield QRect(view.viewport().mapTo(view, rect.topLeft()), rect.size())


def outside(dialog: QWidget) -> list[str]:
    """The buttons of a dialog that are not on the screen and cannot be scrolled there."""
    screen = dialog.screen().geometry()
    scrolled = {b for area in dialog.findChildren(QScrollArea) for b in buttons_of(area)}
    shown = (b for b in buttons_of(dialog) if b.isVisible() and b.text() and b not in scrolled)
    corners = ((b, QRect(b.mapToGlobal(QPoint()), b.size())) for b in shown)
    return [plain(button.text()) for button, rect in corners if not screen.contains(rect)]


def buttons_of(widget: QWidget) -> list[QAbstractButton]:
    """All buttons inside of a widget."""
    return widget.findChildren(QAbstractButton)


def plain(text: str) -> str:
    """A label without the mark of its key."""
    return text.replace("&", "").partition("\t")[0]


if __name__ == "__main__":
    startup.Session = LocatedSession
    sys.exit(startup.run(sys.argv))
