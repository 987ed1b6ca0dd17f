"""Marks beside the text of a document: bars of quotes, rules, the markers of lists.

Qt's own markers touch the text, and half of them turns up in a selection.
"""

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QFontMetricsF, QPainter, QPen, QTextBlock, QTextDocument, QTextFormat

from r1desk.chat.text.text_style import TextStyle

QUOTE_LEVEL = QTextFormat.Property.UserProperty.value + 1
RULE = QTextFormat.Property.UserProperty.value + 2
MARKER = QTextFormat.Property.UserProperty.value + 6  # a number, or one of these
BULLET, OPEN_TASK, DONE_TASK = "•", "☐", "☑"
QUOTE_STEP_EM = 0.95
_SIZES = {BULLET: 0.23, OPEN_TASK: 0.62, DONE_TASK: 0.62}  # in em
_GAP_EM = 0.4  # between a marker and the text
_SOURCES = {BULLET: "-", OPEN_TASK: "- [ ]", DONE_TASK: "- [x]"}


def marker_source(block: QTextBlock) -> str:
    """The marker of an item of a list as Markdown; empty for other blocks."""
    fmt = block.blockFormat()
    marker = fmt.stringProperty(MARKER)
    return f"{'  ' * (fmt.indent() - 1)}{_SOURCES.get(marker, marker)} " if marker else ""


def paint_marks(
    painter: QPainter, document: QTextDocument, width: float, style: TextStyle, clip: QRectF
) -> None:
    """Paint all of them, as far as they are in `clip`."""
    block: QTextBlock = document.begin()
    layout = document.documentLayout()
    edge = style.colours.edge
    metrics = QFontMetricsF(style.font)
    painter.setFont(style.font)
    above, bottom = 0, 0.0
    while block.isValid():
        fmt = block.blockFormat()
        levels = int(fmt.property(QUOTE_LEVEL) or 0)
        ruled = bool(fmt.property(RULE))
        marker = fmt.stringProperty(MARKER)
        if levels or ruled or marker:
            box = layout.blockBoundingRect(block)
            in_sight = box.top() < clip.bottom() and box.bottom() > clip.top()
            if ruled and in_sight:
                painter.fillRect(QRectF(0, box.top() + fmt.lineHeight() / 2, width, 1), edge)
            if marker and in_sight:
                _paint_marker(painter, block, box.topLeft(), marker, style, metrics)
            for level in range(levels):
                top = bottom if level < above else box.top()
                x = level * style.em_px * QUOTE_STEP_EM + 1
                painter.fillRect(QRectF(x, top, 3, box.bottom() - top), edge)
            bottom = box.bottom()
        above = levels
        block = block.next()


def _paint_marker(  # noqa: PLR0917 - the font's metrics are made once
    painter: QPainter,
    block: QTextBlock,
    corner: QPointF,
    marker: str,
    style: TextStyle,
    metrics: QFontMetricsF,
) -> None:
    """Paint a marker before the first line of a block: on its baseline, or in the middle of it."""
    colours = style.colours
    line = block.layout().lineAt(0)
    text = line.naturalTextRect().translated(corner)
    baseline = text.top() + line.ascent()
    side = _SIZES.get(marker, 0.0) * style.em_px
    wide, gap = side or metrics.horizontalAdvance(marker), _GAP_EM * style.em_px
    rightward = block.textDirection() == Qt.LayoutDirection.RightToLeft
    left = text.right() + gap if rightward else text.left() - gap - wide
    middle = baseline - (metrics.xHeight() + metrics.capHeight()) / 4
    box = QRectF(left, middle - side / 2, side, side)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    if not side:
        painter.setPen(colours.dim if style.aside else colours.text)
        painter.drawText(QPointF(left, baseline), marker)
    elif marker == BULLET:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colours.dim)
        painter.drawEllipse(box)
    else:
        _paint_task(painter, box, style, done=marker == DONE_TASK)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)  # rules and bars are sharp


def _paint_task(painter: QPainter, box: QRectF, style: TextStyle, *, done: bool) -> None:
    colours = style.colours
    painter.setPen(QPen(colours.accent if done else colours.dim, 1.2))
    painter.setBrush(colours.accent if done else Qt.BrushStyle.NoBrush)
    painter.drawRoundedRect(box, 2.5, 2.5)
    if done:
        painter.setPen(QPen(colours.background, box.width() * 0.16))
        tick = ((0.22, 0.52), (0.43, 0.73), (0.79, 0.29))
        painter.drawPolyline(
            [box.topLeft() + QPointF(x * box.width(), y * box.height()) for x, y in tick]
        )
