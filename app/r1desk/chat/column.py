"""A tall column of messages of which only those near the screen exist as widgets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet

from PySide6.QtCore import QPoint, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget

from deepseek_r1.core.words import tr
from r1desk.chat.ink import column_span
from r1desk.chat.places import MessageView, Place, near, place_at, stops
from r1desk.chat.slices import Slicer

MAX_BUILT = 60
_KEPT_SCREENS = 2.0  # built this far above and below what is visible
_NEAR_END_PX = 24
_GAP_EM = 0.7


class MessageColumn(QScrollArea):
    """Builds, lays out and forgets message widgets as the user scrolls.

    Signals:
        end_shown: True when the end of the conversation came into view, False when it left.
    """

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
        self._places: list[Place] = []
        self._by_key: dict[int, Place] = {}
        self._following = True
        self._end_was_shown = True
        self._placing = False
        self._filling = False
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.setAccessibleName(tr("Conversation"))
        self._content = QWidget()
        self.setWidget(self._content)
        self._content.setAutoFillBackground(False)
        self.viewport().setAutoFillBackground(False)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self.place)
        bar = self.verticalScrollBar()
        bar.valueChanged.connect(self._on_scrolled)
        bar.rangeChanged.connect(self._on_range)
        bar.setEnabled(False)

    # ---- contents

    def show_keys(self, keys: list[int], same: AbstractSet[int] = frozenset()) -> None:
        """Show other messages, from their end. Those of `same` stay as they are built."""
        kept = {key: place for key in same if (place := self._by_key.get(key))}
        for place in self._places:
            if place.key not in kept:
                self._forget(place)
        width = self.column_width()
        self._places = [kept.get(key) or Place(key, self._estimate(key, width)) for key in keys]
        self._by_key = {place.key: place for place in self._places}
        self._following = True
        self.place()

    def add_key(self, key: int) -> None:
        """Add a message at the end."""
        place = Place(key, self._estimate(key, self.column_width()))
        self._places.append(place)
        self._by_key[key] = place
        self.place()

    def rebuild(self, key: int | None = None) -> None:
        """Build one message anew, or all of them."""
        for place in self._places:
            if key is None or place.key == key:
                self._forget(place)
        self.place()

    def view(self, key: int) -> MessageView | None:
        """The widget of a message, if it is built."""
        place = self._by_key.get(key)
        return place.view if place else None

    def build_now(self, key: int) -> MessageView:
        """The widget of a message, built if need be."""
        place = self._by_key[key]
        self._build_place(place)
        self.place()
        assert place.view is not None  # noqa: S101 - just built
        return place.view

    def pin(self, key: int, pinned: bool) -> None:
        """Keep a message's widget although it is far from the screen."""
        self._by_key[key].pinned = pinned

    @property
    def built(self) -> int:
        """How many message widgets exist."""
        return sum(place.view is not None for place in self._places)

    # ---- scrolling

    def to_end(self) -> None:
        """Go to the end and stay there."""
        self._following = True
        self.place()

    def show_key(self, key: int) -> None:
        """Scroll a message into view."""
        place = self._by_key[key]
        self._following = False
        self.verticalScrollBar().setValue(place.top - self._margin())

    def stop_following(self) -> None:
        """Stay where the reader is."""
        self._following = False

    @Slot(int)
    def _on_scrolled(self, value: int) -> None:
        if self._placing:
            return
        self._following = value >= self.verticalScrollBar().maximum() - _NEAR_END_PX
        self._fill()
        self._tell_end()

    @Slot(int, int)
    def _on_range(self, least: int, most: int) -> None:
        # The bar keeps its room, or text would wrap anew; with nothing to scroll it is unseen.
        self.verticalScrollBar().setEnabled(most > least)

    def _tell_end(self) -> None:
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
    def place_later(self) -> None:
        """Lay out once the events of this moment are through."""
        if not self._later.isActive():
            self._later.start(0)

    @Slot()
    def place(self) -> None:
        """Lay out what is near the screen and keep the reader's place."""
        if self._placing:
            return
        self._placing = True
        bar = self.verticalScrollBar()
        anchor = None if self._following else place_at(self._places, bar.value())
        offset = bar.value() - anchor.top if anchor else 0
        width = self.column_width()
        visible = {place.key for place in self._near(0.0)}
        for place in self._places:
            # What grows is laid out anew cheaply; another width costs, so out of sight it waits.
            grown = place.changed and place.width in {0, width}
            if place.view and (grown or place.key in visible):
                self._lay_out(place, width)
        self._set_tops()
        bar.setValue(anchor.top + offset if anchor else bar.maximum())
        self._placing = False
        self._fill()
        self._tell_end()

    def _lay_out(self, place: Place, width: int) -> None:
        if place.width == width and not place.changed:
            return
        assert place.view is not None  # noqa: S101 - the caller looked
        place.height = place.view.fit_width(width)
        place.width = width
        place.changed = False

    def _set_tops(self) -> None:
        left, _ = column_span(self.width(), self.fontMetrics().height())
        gap = round(self.fontMetrics().height() * _GAP_EM)
        y = self._margin()
        for place in self._places:
            place.top = y
            if place.view:
                spot = QPoint(left, y)
                if place.view.pos() != spot:
                    place.view.move(spot)
                if place.view.isHidden():
                    place.view.show()
            y += place.height + gap
        self._content.resize(self.viewport().width(), y + self._margin())

    # ---- building

    def _near(self, screens: float) -> Iterator[Place]:
        """The messages on the screen and this many screens above and below it."""
        height = self.viewport().height()
        return near(self._places, self.verticalScrollBar().value(), height, screens)

    def _fill(self) -> None:
        if not self._filling and self._next_to_build():
            self._filling = True
            self._slicer.add(self, self._filling_steps(), urgent=True)

    def _next_to_build(self) -> Place | None:
        missing = [place for place in self._near(0.0) if self._is_stale(place)]
        if not missing:
            missing = [place for place in self._near(_KEPT_SCREENS / 2) if self._is_stale(place)]
        return missing[-1] if missing and self._following else next(iter(missing), None)

    def _is_stale(self, place: Place) -> bool:
        return place.view is None or place.width != self.column_width()

    def _filling_steps(self) -> Iterator[None]:
        try:
            while place := self._next_to_build():
                self._build_place(place)
                yield
                if place.view:  # else other messages are shown since
                    self._lay_out(place, self.column_width())
                self._thin_out()
                self.place()
                yield
        finally:
            self._filling = False
        self._order_focus()

    def _order_focus(self) -> None:
        """Let Tab go from top to bottom, whatever was built first."""
        last: QWidget = self
        for place in self._places:
            for widget in stops(place.view) if place.view else ():
                QWidget.setTabOrder(last, widget)
                last = widget

    def _build_place(self, place: Place) -> None:
        if place.view is None:
            view = self._build(place.key, self._content)
            view.grown.connect(self._on_grown)
            place.view = view
            place.changed = True

    def _thin_out(self) -> None:
        """Forget what is far away when there are too many."""
        built = [place for place in self._places if place.view and not place.pinned]
        if len(built) < MAX_BUILT:
            return
        keep = {place.key for place in self._near(_KEPT_SCREENS)}
        middle = self.verticalScrollBar().value() + self.viewport().height() // 2
        built.sort(key=lambda place: abs(place.top + place.height // 2 - middle))
        for place in built[MAX_BUILT - 5 :]:
            if place.key not in keep or len(built) > MAX_BUILT:
                self._forget(place)

    @staticmethod
    def _forget(place: Place) -> None:
        if place.view:
            place.view.hide()
            place.view.deleteLater()
            place.view = None
            place.changed = True

    @Slot()
    def _on_grown(self) -> None:
        sender = self.sender()
        for place in self._places:
            if place.view is sender:
                place.changed = True
        self.place_later()

    def changed(self, key: int) -> None:
        """A message got more to show."""
        self._by_key[key].changed = True

    # ---- what Qt tells

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Wrap anew."""
        super().resizeEvent(event)
        self.place()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Home and End too."""
        bar = self.verticalScrollBar()
        if event.key() == Qt.Key.Key_End:
            self.to_end()
        elif event.key() == Qt.Key.Key_Home:
            self.stop_following()
            bar.setValue(0)
        else:
            super().keyPressEvent(event)
