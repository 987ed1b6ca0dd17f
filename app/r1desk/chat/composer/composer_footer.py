"""The row below the composer: thinking and template at the left, the next message's size."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from deepseek_r1.core.i18n import tr
from r1desk.chat.composer.menu_buttons import TemplateButton, ThinkingButton
from r1desk.chat.text import display_text as fit
from r1desk.chat.text.colours import ChatColours, chat_colours
from r1desk.chat.text.text_style import column_span
from r1desk.chat.values.prompt import PromptSize
from r1desk.theme.fonts import scaled

_INSET_EM = 0.6
_BAR_EM = 7.0
_FONT_SCALE = 0.85


class ComposerFooter(QWidget):
    """As wide as the composer's box, and always of the same height."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.thinking = ThinkingButton(self)
        self.template = TemplateButton(self)
        self.size_bar = PromptSizeBar(self)
        row = QHBoxLayout(self)
        row.setSpacing(round(self.fontMetrics().height() * 0.6))
        row.addWidget(self.thinking, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.template, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.size_bar, 1, Qt.AlignmentFlag.AlignVCenter)
        self._set_height()
        self._set_margins()

    def _set_height(self) -> None:
        self.setMinimumHeight(self.thinking.sizeHint().height())

    def _set_margins(self) -> None:
        em = self.fontMetrics().height()
        side = column_span(self.width(), em)[0] + round(em * _INSET_EM)
        if layout := self.layout():
            layout.setContentsMargins(side, 0, side, 0)

    def changeEvent(self, event: QEvent) -> None:
        """Take the height of another font or style sheet."""
        super().changeEvent(event)
        # Some of these arrive while Qt makes the widget, before it has a button.
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange) and self.layout():
            self._set_height()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._set_margins()


class PromptSizeBar(QWidget):
    """A thin bar and a line of text: what the next message takes of the context.

    Keeps its height while it has nothing to show, so that nothing moves.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._size: PromptSize | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_size(self, size: PromptSize | None) -> None:
        """Show these numbers; None shows nothing."""
        self._size = size
        self.setToolTip(fit.plain_tooltip(_details(size)) if size else "")
        self.setAccessibleName(_line(size) if size else "")
        self.setAccessibleDescription(_details(size) if size else "")
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(120, round(self.fontMetrics().height() * _FONT_SCALE * 1.3))

    minimumSizeHint = sizeHint

    def paintEvent(self, _event: QPaintEvent) -> None:
        size = self._size
        if size is None:
            return
        colours = chat_colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(scaled(self.font(), _FONT_SCALE))
        painter.setPen(_text_colour(size, colours))
        metrics = painter.fontMetrics()
        line = _line(size)
        if metrics.horizontalAdvance(line) > self.width():
            line = _short_line(size)
        text = metrics.elidedText(line, Qt.TextElideMode.ElideRight, self.width())
        flags = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(QRectF(self.rect()), flags, text)
        em = metrics.height()
        left = self.width() - metrics.horizontalAdvance(text) - (_BAR_EM + 0.7) * em
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
    line = _numbers_line(size)
    return f"{line} · {tr('nearly full')}" if size.nearly_full else line


def _numbers_line(size: PromptSize) -> str:
    numbers = _numbers(size)
    if not size.fits:
        over = f"{size.total - size.context:,}"
        return tr("{over} tokens too many for the context of {context}", over=over, **numbers)
    if not size.text:
        return tr("Conversation {history} of {context} tokens", **numbers)
    return tr(
        "Message {message} + conversation {history} + answer {reserve} of {context}", **numbers
    )


def _short_line(size: PromptSize) -> str:
    return tr("{used} of {context} tokens", used=f"{size.total:,}", context=f"{size.context:,}")


def _details(size: PromptSize) -> str:
    return tr(
        "Message: {message} tokens\nConversation so far: {history} tokens\n"
        "Kept free for the answer: {reserve} tokens\nContext: {context} tokens",
        **_numbers(size),
    )


def _numbers(size: PromptSize) -> dict[str, str]:
    return {
        "message": f"{size.text:,}" if size.exact else f"≈ {size.text:,}",
        "history": f"{size.history:,}" if size.history_exact else f"≈ {size.history:,}",
        "reserve": f"{size.reserve:,}",
        "context": f"{size.context:,}",
    }
