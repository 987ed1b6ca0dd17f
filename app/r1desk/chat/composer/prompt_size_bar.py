"""A button with the share of the context that conversation and message take."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QToolButton, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.colours import ChatColours, chat_colours
from r1desk.chat.values.prompt import PromptSize
from r1desk.theme.fonts import scaled

_BAR_EM = 3.5
_LEAST_EM = 2.0
_FONT_SCALE = 0.85


class PromptSizeBar(QToolButton):
    """A thin bar and the number of tokens; a button that keeps its place with nothing to show."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._size: PromptSize | None = None
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAutoRaise(True)
        self.show_size(None)

    def show_size(self, size: PromptSize | None) -> None:
        """Show these numbers; None and an empty conversation show nothing."""
        self._size = size if size and size.used else None
        self.setText(_line(self._size) if self._size else "")
        details = _details(self._size) if self._size else ""
        self.setToolTip(fit.plain_tooltip(details))
        self.setAccessibleName(self.text() or tr("Context"))
        self.setAccessibleDescription(details)
        self.setEnabled(self._size is not None)  # else Tab would stop at nothing
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        """The bar and the text; the bar goes first."""
        metrics = QFontMetrics(scaled(self.font(), _FONT_SCALE))
        em, text = metrics.height(), metrics.horizontalAdvance(self.text())
        return QSize(round(text + (_BAR_EM + 1.5) * em), round(em * 1.6))

    def minimumSizeHint(self) -> QSize:
        return QSize(round(_LEAST_EM * self.fontMetrics().height()), self.sizeHint().height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        size = self._size
        if size is None:
            return
        colours = chat_colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.underMouse() or self.hasFocus():
            painter.setPen(colours.accent if self.hasFocus() else Qt.PenStyle.NoPen)
            painter.setBrush(colours.hover)
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 5, 5)
        painter.setFont(scaled(self.font(), _FONT_SCALE))
        painter.setPen(_text_colour(size, colours))
        metrics = painter.fontMetrics()
        em = metrics.height()
        inner = QRectF(self.rect()).adjusted(em * 0.4, 0, -em * 0.4, 0)
        text = metrics.elidedText(self.text(), Qt.TextElideMode.ElideRight, int(inner.width()))
        flags = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(inner, flags, text)
        left = inner.right() - metrics.horizontalAdvance(text) - (_BAR_EM + 0.6) * em
        if left >= 0:
            height = max(4.0, em * 0.34)
            bar = QRectF(left, (self.height() - height) / 2, _BAR_EM * em, height)
            _paint_bar(painter, bar, size, colours)


def _text_colour(size: PromptSize, colours: ChatColours) -> QColor:
    if not size.fits:
        return colours.error_text
    return colours.warning_text if size.nearly_full else colours.dim


def _paint_bar(painter: QPainter, bar: QRectF, size: PromptSize, colours: ChatColours) -> None:
    """Three parts: the history, the text, and the reserve at the end."""
    path = QPainterPath()
    path.addRoundedRect(bar, bar.height() / 2, bar.height() / 2)
    painter.setClipPath(path)
    painter.fillRect(bar, colours.track)
    scale = bar.width() / max(size.context, size.total)
    text_colour = colours.accent if size.fits else colours.error_text
    reserve = QColor(text_colour)
    reserve.setAlphaF(0.35)
    parts = ((size.history, colours.dim), (size.text, text_colour), (size.reserve, reserve))
    x = bar.left()
    for tokens, colour in parts:
        width = tokens * scale
        painter.fillRect(QRectF(x, bar.top(), width, bar.height()), colour)
        x += width


def _line(size: PromptSize) -> str:
    if not size.fits:
        over, context = f"{size.total - size.context:,}", f"{size.context:,}"
        return tr("{over} tokens too many for the context of {context}", over=over, context=context)
    about = "" if size.exact and size.history_exact else "≈ "
    used = f"{about}{size.used:,}"
    line = tr("{used} of {context} tokens", used=used, context=f"{size.context:,}")
    return f"{line} · {tr('nearly full')}" if size.nearly_full else line


def _details(size: PromptSize) -> str:
    return tr(
        "Message: {message} tokens\nConversation so far: {history} tokens\n"
        "Kept free for the answer: {reserve} tokens\nContext: {context} tokens",
        message=f"{size.text:,}" if size.exact else f"≈ {size.text:,}",
        history=f"{size.history:,}" if size.history_exact else f"≈ {size.history:,}",
        reserve=f"{size.reserve:,}",
        context=f"{size.context:,}",
    )
