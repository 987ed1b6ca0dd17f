"""The text of a document, filled in bit by bit, and one drawn page of it."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from itertools import groupby
from typing import Final
from unicodedata import east_asian_width

from PySide6.QtCore import QRect, Qt, QTimer, Signal, Slot
from PySide6.QtGui import (
    QColor,
    QFont,
    QImage,
    QKeyEvent,
    QPainter,
    QPen,
    QPixmap,
    QRegion,
    QResizeEvent,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QWheelEvent,
)
from PySide6.QtWidgets import QLabel, QScrollArea, QTextEdit

from deepseek_r1.documents.document import BETWEEN_BLOCKS, PICTURE_MARK, Passage, Place
from deepseek_r1.documents.page_drawing import DrawnPage
from deepseek_r1.documents.reader_protocol import MAX_PX
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.editor import PlainEdit
from r1desk.chat.text.text_style import chat_colours
from r1desk.theme.fonts import mono

_SLICE = 40_000  # characters that are added at a time
_MARK_ALPHA = 80
_HEADING_SIZE = 1.2  # of the text's
_BACKWARD = QTextDocument.FindFlag.FindBackward
_CELLS = " | "
_MOST_COLUMNS = 72  # characters of a table whose cells stand below each other
_TERMS = 12  # with which a marked text begins and ends


class LineKind(Enum):
    """The form that a line has."""

    TEXT = auto()
    HEADING = auto()
    ROW = auto()


Line = tuple[LineKind, str]


def passages_of(text: str) -> list[Passage]:
    """Pieces of a text that has no places, to be shown as passages are."""
    pieces = enumerate(fit.paragraph_slices(text, _SLICE))
    return [Passage("", "", number, Place(), piece, 0, 0) for number, piece in pieces]


class DocumentText(PlainEdit):
    """Passages, one below the other."""

    scrolled_to = Signal(int)  # the number of the passage that is in the middle

    def __init__(self) -> None:
        super().__init__(readOnly=True, undoRedoEnabled=False)
        self._passages: Sequence[Passage] = ()
        self._starts: list[int] = []  # of the passages that it has so far
        self._wanted: tuple[int, str] | None = None  # a passage to be shown, and what is marked
        self._filling = QTimer(self, interval=0)
        self._filling.timeout.connect(self._fill)
        self.verticalScrollBar().valueChanged.connect(self._on_scrolled)

    def show_passages(self, passages: Sequence[Passage]) -> None:
        self._passages, self._starts, self._wanted = passages, [], None
        self.setPlainText("")
        self._filling.start()

    @property
    def selected(self) -> str:
        return self.textCursor().selectedText().replace("\u2029", "\n")

    def find_next(self, text: str, step: int) -> bool:
        """Select the next match, or the one before; behind the last comes the first."""
        flags = _BACKWARD if step < 0 else QTextDocument.FindFlag(0)
        if self.find(text, flags):
            return True
        ends = QTextCursor.MoveOperation
        self.moveCursor(ends.End if step < 0 else ends.Start)
        return self.find(text, flags)

    def go_to(self, number: int, marked: str = "") -> None:
        """Show a passage, with a part of it marked, once it is there."""
        self._wanted = (number, marked) if number >= len(self._starts) else None
        if self._wanted is not None:
            return
        place = self._place_of(number, marked)
        cursor = QTextCursor(self.document())
        cursor.setPosition(place[0] if place is not None else self._starts[number])
        self.setTextCursor(cursor)
        self.centerCursor()
        self.scrolled_to.emit(number)
        if place is not None:
            selection = QTextEdit.ExtraSelection()
            cursor.setPosition(place[1], QTextCursor.MoveMode.KeepAnchor)
            selection.cursor = cursor
            colour = QColor(chat_colours().accent)
            colour.setAlpha(_MARK_ALPHA)
            selection.format.setBackground(colour)
            self.setExtraSelections([selection])

    @Slot()
    def _fill(self) -> None:
        cursor, added = QTextCursor(self.document()), 0
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.beginEditBlock()
        formats = self._formats()
        while added < _SLICE and len(self._starts) < len(self._passages):
            number = len(self._starts)
            cursor.insertText(self._gap_above(number), formats[LineKind.TEXT])
            self._starts.append(cursor.position())
            for at, (kind, line) in enumerate(_lines(self._passages[number])):
                cursor.insertText("\n" if at else "", formats[LineKind.TEXT])
                cursor.insertText(self._shown_text(line), formats[kind])
            added += len(self._passages[number].text)
        cursor.endEditBlock()
        if len(self._starts) == len(self._passages):
            self._filling.stop()
        if self._wanted is not None:
            self.go_to(*self._wanted)

    def _formats(self) -> dict[LineKind, QTextCharFormat]:
        text, heading, row = QTextCharFormat(), QTextCharFormat(), QTextCharFormat()
        font = self.font()
        for each in (text, row):
            each.setFontPointSize(font.pointSizeF())
        heading.setFontPointSize(font.pointSizeF() * _HEADING_SIZE)
        heading.setFontWeight(QFont.Weight.DemiBold)
        row.setFontFamilies(mono(font).families())
        return {LineKind.TEXT: text, LineKind.HEADING: heading, LineKind.ROW: row}

    def _gap_above(self, number: int) -> str:
        """The text between a passage and the one before: blank lines, and a page's number."""
        before = self._passages[number - 1] if number else None
        place = self._passages[number].place
        gap = BETWEEN_BLOCKS if before and self._passages[number].start > before.end else ""
        if before and (place.page, place.sheet) == (before.place.page, before.place.sheet):
            return gap
        label = Place(page=place.page, sheet=place.sheet).label()
        return f"{gap}— {label} —{BETWEEN_BLOCKS}" if label else gap

    def _place_of(self, number: int, marked: str) -> tuple[int, int] | None:
        if not marked:
            return None
        cursor, start = QTextCursor(self.document()), self._starts[number]
        cursor.setPosition(start)
        if number + 1 < len(self._starts):
            cursor.setPosition(self._starts[number + 1], QTextCursor.MoveMode.KeepAnchor)
        else:
            cursor.movePosition(cursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        shown = cursor.selectedText()
        if (found := _place_in(shown, self._shown_text(marked))) is None:
            return None
        # Qt counts characters beyond the first 65,536 twice.
        first, last = (len(shown[:at].encode("utf-16-le")) // 2 for at in found)
        return start + first, start + last

    @staticmethod
    def _shown_text(text: str) -> str:
        return fit.breakable(fit.code(fit.newlines(text)))

    @Slot()
    def _on_scrolled(self) -> None:
        if self._starts:
            middle = self.cursorForPosition(self.contentsRect().center()).position()
            self.scrolled_to.emit(max(0, bisect_right(self._starts, middle) - 1))


def _lines(passage: Passage) -> Iterator[Line]:
    """The lines of a passage as they are shown; the cells of a table stand below each other."""
    at, lines, headings = 0, list[Line](), set(passage.headings)
    for line in passage.text.split("\n"):
        kind = LineKind.HEADING if at in headings else LineKind.TEXT
        if passage.place.sure is None or not PICTURE_MARK.fullmatch(line):  # that stands above
            lines.append((LineKind.ROW if _CELLS in line else kind, line))
        at += len(line) + 1
    for number in range(len(lines) - 2, 0, -1):  # readers put a blank line between two rows
        (above, _), (_, line), (below, _) = lines[number - 1 : number + 2]
        if not line and above is below is LineKind.ROW:
            del lines[number]
    for kind, run in groupby(lines, key=lambda each: each[0]):
        texts = [text for _, text in run]
        yield from (
            (kind, text) for text in (_in_columns(texts) if kind is LineKind.ROW else texts)
        )


def _in_columns(rows: Sequence[str]) -> list[str]:
    cells = [row.split(_CELLS) for row in rows]
    count = max(map(len, cells))
    widths = [max(_width(row[at]) for row in cells if at < len(row)) for at in range(count)]
    if sum(widths) + len(_CELLS) * count > _MOST_COLUMNS:
        return [" │ ".join(row) for row in cells]
    padded = (
        [cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=False)]
        for row in cells
    )
    return [" │ ".join(row).rstrip() for row in padded]


def _width(text: str) -> int:
    return len(text) + sum(east_asian_width(each) in "WF" for each in text)


def _place_in(shown: str, marked: str) -> tuple[int, int] | None:
    """Where a text stands in one that is shown, whose spaces and signs may be others."""
    terms = re.findall(r"\w+", marked)
    if not terms:
        return None
    first, last = (r"\W+".join(map(re.escape, some)) for some in (terms[:_TERMS], terms[-_TERMS:]))
    if (start := re.search(first, shown)) is None:
        return None
    begin = max(start.start(), start.end() - len(marked))
    end = re.compile(rf"{last}[^\w\s]*").search(shown, begin)
    return start.start(), end.end() if end is not None else start.end()


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
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.settled.start()
