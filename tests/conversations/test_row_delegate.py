"""Snippets of search hits are cut between letters, and show their match."""

from PySide6.QtCore import QRect
from PySide6.QtGui import QFont, QFontMetrics, QImage, QPainter
from pytestqt.qtbot import QtBot

from r1desk.conversations.widgets.row_delegate import marked_pieces, paint_marked

WIDTH, HEIGHT = 120, 24


class RecordingPainter(QPainter):
    """Records what is written."""

    def __init__(self, image: QImage) -> None:
        super().__init__(image)
        self.written: list[tuple[int, str]] = []

    def drawText(self, spot: object, text: str) -> None:
        self.written.append((spot.x(), text))


def painted(text: str, marks: tuple[tuple[int, int], ...]) -> list[tuple[int, str]]:
    image = QImage(WIDTH, HEIGHT, QImage.Format.Format_ARGB32)
    painter = RecordingPainter(image)
    paint_marked(painter, QRect(0, 0, WIDTH, HEIGHT), text, marks, QFont())
    painter.end()
    return painter.written


def test_pieces_are_marked_where_they_match() -> None:
    assert marked_pieces("a red fox", ((2, 3),)) == [("a ", False), ("red", True), (" fox", False)]
    assert marked_pieces("斑马", ((0, 2),)) == [("斑马", True)]


def test_a_line_too_long_ends_in_an_ellipsis_inside_the_box(qtbot: QtBot) -> None:
    for text in ("word " * 30, "斑马的条纹有多种可能的作用首先可以用来迷惑捕食者"):
        written = painted(text, ((0, 2),))
        x, last = written[-1]
        assert last.endswith("…")
        assert x + QFontMetrics(QFont()).horizontalAdvance(last) <= WIDTH


def test_a_match_far_behind_in_a_narrow_box_comes_first(qtbot: QtBot) -> None:
    written = painted("首先可以用来迷惑捕食者其次可以驱赶苍蝇斑马的条纹", ((19, 2),))
    assert written[0] == (0, "斑马")
