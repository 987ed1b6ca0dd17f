"""One drawn page of a document, with places marked on it."""

from typing import Final

from PySide6.QtCore import QRect, Qt, QTimer, Signal
from PySide6.QtGui import (
    QColor,
    QImage,
    QKeyEvent,
    QPainter,
    QPen,
    QPixmap,
    QRegion,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QLabel, QScrollArea

from deepseek_r1.documents.page_drawing import DrawnPage
from deepseek_r1.documents.reader_protocol import MAX_PX

# Of a page, which is paper in dark colours too.
_MARK: Final = QColor("#ffe066")
_DOTS: Final = QColor("#c92a2a")
_DOTS_WIDTH: Final = 2.0
_RESIZED_MS, _TURNED_MS = 150, 400
_LARGEST, _ZOOM_STEP = 4.0, 1.25


class PageSheet(QScrollArea):
    """One drawn page, as wide as there is room, or larger by Ctrl and the wheel."""

    # by the wheel or a key, beyond the end of the page (1) or its beginning (-1)
    turned = Signal(int)

    def __init__(self) -> None:
        super().__init__(alignment=Qt.AlignmentFlag.AlignHCenter)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)  # the width stays
        self.picture = QLabel()
        self.setWidget(self.picture)
        self._from_end = False
        self._zoom = 1.0  # 1: as wide as there is room
        self._turning = QTimer(self, singleShot=True, interval=_TURNED_MS)
        # Ends when the page is to be drawn anew.
        self.settled = QTimer(self, singleShot=True, interval=_RESIZED_MS)

    @property
    def width_px(self) -> int:
        """The width for a page, in pixels of the screen."""
        width = self.viewport().width() * self._zoom
        return min(round(width * self.devicePixelRatioF()), MAX_PX)

    def show_page(self, page: DrawnPage) -> None:
        """Show a page at its first mark; else at its top, or its end where one turned back.

        Words that may be others are underlined with dots.
        """
        size = page.width, page.height, 3 * page.width
        pixmap = QPixmap.fromImage(QImage(page.pixels, *size, QImage.Format.Format_RGB888))
        painter = QPainter(pixmap)
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Multiply)
        marked = QRegion()
        for mark in page.marks:  # fonts within a line make several, which lie over each other
            marked = marked.united(QRect(*mark))
        painter.setClipRegion(marked)
        painter.fillRect(pixmap.rect(), _MARK)
        painter.setClipping(False)
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_SourceOver)
        width = _DOTS_WIDTH * self.devicePixelRatioF()
        painter.setPen(QPen(_DOTS, width, Qt.PenStyle.DotLine))
        for word in page.doubtful:
            below = QRect(*word).adjusted(round(width), 0, -round(width), 0)
            painter.drawLine(below.bottomLeft(), below.bottomRight())
        painter.end()
        pixmap.setDevicePixelRatio(self.devicePixelRatioF())
        self.picture.setPixmap(pixmap)
        self.picture.adjustSize()
        ends, self._from_end = page.height if self._from_end else 0, False
        left, top = page.marks[0][:2] if page.marks else (0, ends)
        shown, ratio = self.viewport().size(), self.devicePixelRatioF()
        self.verticalScrollBar().setValue(round(top / ratio) - shown.height() // 3)
        self.horizontalScrollBar().setValue(round(left / ratio) - shown.width() // 8)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Turn the page where this one ends; one page at a time, however far a wheel runs on.

        With Ctrl: draw it larger or smaller.
        """
        by = event.angleDelta().y()
        down = by < 0
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            zoom = self._zoom * _ZOOM_STEP ** (by / 120)
            self._zoom = max(1.0, min(_LARGEST, zoom))
            self.settled.start()
        elif by == 0 or not self._is_at_end(down=down):
            super().wheelEvent(event)
        elif not self._turning.isActive():
            self._turning.start()
            self._turn(down=down)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Page up and down scroll, and turn the page where this one ends."""
        down = event.key() == Qt.Key.Key_PageDown
        if (down or event.key() == Qt.Key.Key_PageUp) and self._is_at_end(down=down):
            self._turn(down=down)
        else:
            super().keyPressEvent(event)

    def _is_at_end(self, *, down: bool) -> bool:
        bar = self.verticalScrollBar()
        return bar.value() == (bar.maximum() if down else bar.minimum())

    def _turn(self, *, down: bool) -> None:
        self._from_end = not down
        self.turned.emit(1 if down else -1)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Have the page drawn anew, once the width stays."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.settled.start()
