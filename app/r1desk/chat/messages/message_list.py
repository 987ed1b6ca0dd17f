"""A long list of messages of which only those near the screen exist as widgets."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from operator import attrgetter

from PySide6.QtCore import QPoint, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.messages.answer_view import AnswerView
from r1desk.chat.messages.user_view import UserView
from r1desk.chat.text.text_style import column_span
from r1desk.chat.text.time_slicer import Slicer
from r1desk.platform.qt_application import application
from r1desk.widgets.layouts import discard

MAX_BUILT = 60
_KEPT_SCREENS = 2.0  # built this far above and below what is visible
_NEAR_END_PX = 24
_GAP_EM = 0.7


MessageView = AnswerView | UserView


@dataclass(slots=True)
class MessagePosition:
    """One message's place in the column."""

    key: int
    height: int  # estimated until `view` was laid out for `width`
    top: int = 0
    view: MessageView | None = None
    width: int = 0  # 0: it has to be laid out anew
    pinned: bool = False


class MessageList(QScrollArea):
    """Builds, lays out and forgets message widgets as the user scrolls."""

    # True when the end of the conversation came into view, False when it left
    end_shown = Signal(bool)

    def __init__(
        self,
        build: Callable[[int, QWidget], MessageView],
        estimate: Callable[[int, int], int],
        slicer: Slicer,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._build = build
        self._estimate = estimate
        self._slicer = slicer
        self._positions: list[MessagePosition] = []
        self._by_key: dict[int, MessagePosition] = {}
        self._edited: dict[int, str] = {}  # texts in editors of messages whose widgets are gone
        self._following = True
        self._end_was_shown = True
        self._placing = False
        self._filling = False
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.setAccessibleName(tr("Chat"))
        self._content = QWidget()
        self.setWidget(self._content)
        self._content.setAutoFillBackground(False)
        self.viewport().setAutoFillBackground(False)
        self._later = QTimer(self, singleShot=True, interval=0)
        self._later.timeout.connect(self.place)
        bar = self.verticalScrollBar()
        bar.valueChanged.connect(self._on_scrolled)
        bar.rangeChanged.connect(self._on_range)
        bar.setEnabled(False)
        application().focusChanged.connect(self._on_focus_moved)

    # ---- contents

    def show_keys(self, keys: list[int], same: AbstractSet[int] = frozenset()) -> None:
        """Show other messages, from their end. Those of `same` stay as they are built."""
        kept = {key: position for key in same if (position := self._by_key.get(key))}
        for position in self._positions:
            if position.key not in kept:
                self._forget(position)
        width = self.column_width()
        self._positions = [
            kept.get(key) or MessagePosition(key, self._estimate(key, width)) for key in keys
        ]
        self._by_key = {position.key: position for position in self._positions}
        self._following = True
        self.place()

    def rebuild(self, key: int | None = None) -> None:
        """Build one message anew, or all of them.

        The reader's place stays and is never empty, and what is being edited stays open.
        """
        visible = {position.key for position in self._near(0.0)}
        for position in self._positions:
            if key is None or position.key == key:
                editor = position.view.editor if position.view else None
                self._forget(position)
                if editor or position.key in visible:
                    self._build_position(position)
                if editor and position.view:
                    position.view.edit()
        self.place()

    def view(self, key: int) -> MessageView | None:
        position = self._by_key.get(key)
        return position.view if position else None

    def build_now(self, key: int) -> MessageView:
        position = self._by_key[key]
        self._build_position(position)
        self.place()
        assert position.view is not None  # noqa: S101 - just built
        return position.view

    def pin(self, key: int, pinned: bool) -> None:
        """Keep a message's widget although it is far from the screen."""
        self._by_key[key].pinned = pinned

    @property
    def editing(self) -> bool:
        return any(position.view and position.view.editor for position in self._positions)

    @property
    def built(self) -> int:
        return sum(position.view is not None for position in self._positions)

    # ---- scrolling

    def to_end(self) -> None:
        self._following = True
        self.place()

    def show_key(self, key: int, below_px: int = 0) -> None:
        """Scroll to a message, or to what is so far below its upper edge."""
        position = self._by_key[key]
        self._following = False
        above = self._margin() if not below_px else self.viewport().height() // 3
        self.verticalScrollBar().setValue(position.top + below_px - above)

    def top_key(self) -> int | None:
        position = _position_at(self._positions, self.verticalScrollBar().value())
        return position.key if position else None

    @Slot(int)
    def _on_scrolled(self, value: int) -> None:
        if self._placing:
            return
        self._following = value >= self.verticalScrollBar().maximum() - _NEAR_END_PX
        self._fill()
        self._report_end()

    @Slot(int, int)
    def _on_range(self, least: int, most: int) -> None:
        # The bar keeps its room, or text would wrap anew; with nothing to scroll it is unseen.
        self.verticalScrollBar().setEnabled(most > least)

    def _report_end(self) -> None:
        bar = self.verticalScrollBar()
        shown = bar.value() >= bar.maximum() - _NEAR_END_PX
        if shown != self._end_was_shown:
            self._end_was_shown = shown
            self.end_shown.emit(shown)

    # ---- geometry

    def column_width(self) -> int:
        """The width of the messages: readable, whatever the window's."""
        return column_span(self.width(), self.fontMetrics().height())[1]

    def _margin(self) -> int:
        return round(self.fontMetrics().height() * 1.2)

    @Slot()
    def place(self) -> None:
        """Lay out what is near the screen and keep the reader's place."""
        if self._placing:
            return
        self._placing = True
        bar = self.verticalScrollBar()
        anchor = None if self._following else _position_at(self._positions, bar.value())
        offset = bar.value() - anchor.top if anchor else 0
        width = self.column_width()
        visible = {position.key for position in self._near(0.0)}
        for position in self._positions:
            # What grows is laid out anew cheaply; another width costs, so out of sight it waits.
            if position.view and (position.width == 0 or position.key in visible):
                self._lay_out(position, width)
        self._set_tops()
        bar.setValue(anchor.top + offset if anchor else bar.maximum())
        self._placing = False
        self._fill()
        self._report_end()

    def _lay_out(self, position: MessagePosition, width: int) -> None:
        if position.view is not None and position.width != width:
            position.height = position.view.fit_width(width)
            position.width = width

    def _set_tops(self) -> None:
        left, _ = column_span(self.width(), self.fontMetrics().height())
        gap = round(self.fontMetrics().height() * _GAP_EM)
        y = self._margin()
        for position in self._positions:
            position.top = y
            if position.view:
                spot = QPoint(left, y)
                if position.view.pos() != spot:
                    position.view.move(spot)
                if position.view.isHidden():
                    position.view.show()
            y += position.height + gap
        self._content.resize(self.viewport().width(), y + self._margin())

    # ---- building

    def _near(self, screens: float) -> Iterator[MessagePosition]:
        """The messages on the screen and this many screens above and below it."""
        height, top = self.viewport().height(), self.verticalScrollBar().value()
        for position in self._positions:
            if position.top > top + (1 + screens) * height:
                return
            if position.top + position.height >= top - screens * height:
                yield position

    def _fill(self) -> None:
        if not self._filling and self._next_to_build():
            self._filling = True
            self._slicer.add(self, self._filling_steps(), urgent=True)

    def _next_to_build(self) -> MessagePosition | None:
        width = self.column_width()
        for screens in (0.0, _KEPT_SCREENS / 2):
            missing = [p for p in self._near(screens) if p.view is None or p.width != width]
            if missing:
                return missing[-1 if self._following else 0]
        return None

    def _filling_steps(self) -> Iterator[None]:
        try:
            while position := self._next_to_build():
                self._build_position(position)
                yield
                self._lay_out(position, self.column_width())
                self._thin_out()
                self.place()
                yield
        finally:
            self._filling = False
        self.order_focus()

    def order_focus(self) -> None:
        """Let Tab go from top to bottom, whatever was built first."""
        last: QWidget = self
        for position in self._positions:
            for widget in _stops(position.view) if position.view else ():
                QWidget.setTabOrder(last, widget)
                last = widget

    def _build_position(self, position: MessagePosition) -> None:
        if position.view is None:
            view = self._build(position.key, self._content)
            view.grown.connect(self._on_grown)
            position.view = view
            if (text := self._edited.pop(position.key, None)) is not None:
                view.open_editor(text)

    def _thin_out(self) -> None:
        """Forget what is far away when there are too many."""
        built = [p for p in self._positions if p.view and not (p.pinned or p.view.editor)]
        if len(built) < MAX_BUILT:
            return
        keep = {position.key for position in self._near(_KEPT_SCREENS)}
        middle = self.verticalScrollBar().value() + self.viewport().height() // 2
        built.sort(key=lambda position: abs(position.top + position.height // 2 - middle))
        for position in built[MAX_BUILT - 5 :]:
            if position.key not in keep or len(built) > MAX_BUILT:
                self._forget(position)

    def _forget(self, position: MessagePosition) -> None:
        if position.view and position.view.editor:
            self._edited[position.key] = position.view.editor.text()
        discard(position.view)
        position.view, position.width = None, 0

    @Slot()
    def _on_grown(self) -> None:
        sender = self.sender()
        for position in self._positions:
            if position.view is sender:
                position.width = 0
        if not self._later.isActive():  # once the events of this moment are through
            self._later.start()

    def grew(self, key: int) -> None:
        self._by_key[key].width = 0
        self.place()

    # ---- events of Qt

    @Slot()
    def _on_focus_moved(self) -> None:
        for position in self._positions:
            if position.view:
                position.view.reveal_footer()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.place()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Home and End too."""
        bar = self.verticalScrollBar()
        if event.key() == Qt.Key.Key_End:
            self.to_end()
        elif event.key() == Qt.Key.Key_Home:
            self._following = False
            bar.setValue(0)
        else:
            super().keyPressEvent(event)


def _position_at(positions: Sequence[MessagePosition], y: int) -> MessagePosition | None:
    index = bisect_right(positions, y, key=attrgetter("top"))
    return positions[max(0, index - 1)] if positions else None


def _stops(view: QWidget) -> list[QWidget]:
    """The widgets that Tab visits in a message, in reading order."""
    found = [
        widget
        for widget in view.findChildren(QWidget)
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus and not widget.isHidden()
    ]
    spots = {widget: widget.mapTo(view, QPoint(0, 0)) for widget in found}
    return sorted(found, key=lambda widget: (spots[widget].y(), spots[widget].x()))
