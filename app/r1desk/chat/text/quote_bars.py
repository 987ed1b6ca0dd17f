"""The bars beside quotes and the horizontal rules of a document."""

from __future__ import annotations

from PySide6.QtCore import QRectF
from PySide6.QtGui import QPainter, QTextBlock, QTextDocument

from r1desk.chat.text.markdown_renderer import QUOTE_LEVEL, QUOTE_STEP_EM, RULE
from r1desk.chat.text.text_style import TextStyle


def paint_quote_bars(
    painter: QPainter, document: QTextDocument, width: float, style: TextStyle, clip: QRectF
) -> None:
    """Paint those of a document that is `width` pixels wide, as far as they are in `clip`."""
    block: QTextBlock = document.begin()
    layout = document.documentLayout()
    edge = style.colours.edge
    above, bottom = 0, 0.0
    while block.isValid():
        fmt = block.blockFormat()
        levels = int(fmt.property(QUOTE_LEVEL) or 0)
        ruled = bool(fmt.property(RULE))
        if levels or ruled:
            box = layout.blockBoundingRect(block)
            if ruled and box.intersects(clip):
                painter.fillRect(QRectF(0, box.center().y(), width, 1), edge)
            for level in range(levels):
                top = bottom if level < above else box.top()
                x = level * style.em_px * QUOTE_STEP_EM + 1
                painter.fillRect(QRectF(x, top, 3, box.bottom() - top), edge)
            bottom = box.bottom()
        above = levels
        block = block.next()
