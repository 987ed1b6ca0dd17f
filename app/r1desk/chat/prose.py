"""A piece of running text that can be selected but loads and opens nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markdown_it.token import Token
from PySide6.QtCore import QMimeData, QRectF, QSize, Qt, QUrl, Signal
from PySide6.QtGui import QImage, QPainter, QPaintEvent, QTextBlock, QWheelEvent
from PySide6.QtWidgets import QFrame, QTextBrowser, QWidget

from deepseek_r1.core.words import tr
from r1desk.chat import text as fit
from r1desk.chat.ink import Ink
from r1desk.chat.richtext import QUOTE_LEVEL, QUOTE_STEP_EM, RULE, Typesetter, plain_font

_BLOCK_CHARS = 40
_FIRST_WIDTH = 720


class ProseView(QTextBrowser):
    """Text set by a `Typesetter`, exactly as high as it needs to be.

    Signals:
        link_chosen: an http(s) address was clicked or chosen by keyboard.
    """

    link_chosen = Signal(str)
    lead_em = 0.6  # the space above

    def __init__(self, ink: Ink, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setLineWrapMode(QTextBrowser.LineWrapMode.FixedPixelWidth)
        self.viewport().setAutoFillBackground(False)
        self.setOpenLinks(False)
        self.setAcceptDrops(False)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setAccessibleName(tr("Text"))
        self.anchorClicked.connect(self._on_anchor_clicked)
        self._ink = ink
        # Before it is told, never zero: each character would become a line of its own.
        self._width = _FIRST_WIDTH
        self.setLineWrapColumnOrWidth(_FIRST_WIDTH)
        plain_font(self.document(), ink.font)
        self.document().setIndentWidth(ink.em_px * 1.45)
        self._setter = Typesetter(self.document(), ink)

    @property
    def filled(self) -> int:
        """How much it holds: characters, each block counted as a line of them."""
        return self.document().characterCount() + _BLOCK_CHARS * self.document().blockCount()

    def append_tokens(self, tokens: Sequence[Token]) -> None:
        """Add blocks of Markdown."""
        self._setter.append(tokens)
        self._set_focus_policy()

    def replace_tokens(self, tokens: Sequence[Token]) -> None:
        """Show these blocks instead of what was there."""
        self._setter.clear()
        self.append_tokens(tokens)

    def append_text(self, text: str) -> None:
        """Add plain text."""
        self._setter.append_plain(text)

    def _set_focus_policy(self) -> None:
        # Reachable with Tab only where there is something to do.
        links = self._setter.has_links
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus if links else Qt.FocusPolicy.ClickFocus)

    def fit_width(self, width: int) -> int:
        """Lay out for `width` pixels; returns the height that takes."""
        if width != self._width:
            self._width = width
            self.setLineWrapColumnOrWidth(width)
        height = math.ceil(self.document().size().height())
        self.resize(width, height)
        return height

    def plain_text(self) -> str:
        """What is drawn, as text."""
        return fit.unbroken(self.toPlainText())

    def ideal_width(self) -> int:
        """The width of the longest line when nothing is wrapped beyond what is set now."""
        return math.ceil(self.document().idealWidth())

    # ---- what Qt asks

    def loadResource(self, _kind: int, _name: QUrl | str) -> QImage:
        """Never load anything: an empty picture also stops Qt from opening the path itself."""
        image = QImage(1, 1, QImage.Format.Format_ARGB32)
        image.fill(Qt.GlobalColor.transparent)
        return image

    def createMimeDataFromSelection(self) -> QMimeData:
        """The selected characters as plain text."""
        data = QMimeData()
        data.setText(fit.unbroken(self.textCursor().selectedText()))
        return data

    def wheelEvent(self, event: QWheelEvent) -> None:
        """The conversation scrolls, not its pieces."""
        event.ignore()

    def sizeHint(self) -> QSize:
        """The size it has."""
        return self.size()

    def minimumSizeHint(self) -> QSize:
        """None: the conversation decides."""
        return QSize(0, 0)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the bars beside quotes and the rules, then the text."""
        painter = QPainter(self.viewport())
        self._paint_lines(painter, QRectF(event.rect()))
        painter.end()
        super().paintEvent(event)

    def _paint_lines(self, painter: QPainter, clip: QRectF) -> None:
        block: QTextBlock = self.document().begin()
        layout = self.document().documentLayout()
        edge = self._ink.colours.edge
        above, bottom = 0, 0.0
        while block.isValid():
            fmt = block.blockFormat()
            levels = int(fmt.property(QUOTE_LEVEL) or 0)
            ruled = bool(fmt.property(RULE))
            if levels or ruled:
                box = layout.blockBoundingRect(block)
                if ruled and box.intersects(clip):
                    painter.fillRect(QRectF(0, box.center().y(), self.width(), 1), edge)
                for level in range(levels):
                    top = bottom if level < above else box.top()
                    x = level * self._ink.em_px * QUOTE_STEP_EM + 1
                    painter.fillRect(QRectF(x, top, 3, box.bottom() - top), edge)
                bottom = box.bottom()
            above = levels
            block = block.next()

    def _on_anchor_clicked(self, url: QUrl) -> None:
        self.link_chosen.emit(url.toString(QUrl.ComponentFormattingOption.FullyEncoded))
