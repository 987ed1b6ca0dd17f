"""The row below the composer: thinking and template at the left, the next message's size."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QWidget

from r1desk.chat.composer.prompt_size_bar import PromptSizeBar
from r1desk.chat.composer.template_button import TemplateButton
from r1desk.chat.composer.thinking_button import ThinkingButton
from r1desk.chat.text.text_style import column_span

_INSET_EM = 0.6


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
        """Follow the composer's width."""
        super().resizeEvent(event)
        self._set_margins()
