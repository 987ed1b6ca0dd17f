"""The card in the place of an answer for which the context has no room."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QLabel, QPushButton, QWidget

from r1desk.chat.text.text_style import TextStyle
from r1desk.chat.values.context_ways import ContextOption, ContextOptions
from r1desk.chat.values.intents import Request, TakeWay
from r1desk.theme.fonts import scaled

_PRICE_SCALE = 0.9


class ContextCard(QWidget):
    """A heading, and a button with its price for each way to go on."""

    def __init__(self, heading: str, style: TextStyle, request: Request, parent: QWidget) -> None:
        super().__init__(parent)
        self._style, self._request = style, request
        self._heading = self._label(heading, style)
        self._rows: list[tuple[QPushButton, QLabel]] = []
        self.setAccessibleName(heading)

    def _label(self, text: str, style: TextStyle, *, is_price: bool = False) -> QLabel:
        label = QLabel(text, self)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setWordWrap(True)
        label.setFont(scaled(style.font, _PRICE_SCALE) if is_price else style.font)
        palette = label.palette()
        colour = style.colours.dim if is_price else style.colours.text
        palette.setColor(palette.ColorRole.WindowText, colour)
        label.setPalette(palette)
        return label

    def heading(self) -> str:
        """The text above the ways."""
        return self._heading.text()

    @property
    def buttons(self) -> list[QPushButton]:
        """The buttons of the ways, those that cannot be taken too."""
        return [button for button, _ in self._rows]

    def prices(self) -> list[str]:
        """The text below each button."""
        return [label.text() for _, label in self._rows]

    def show_options(self, shown: ContextOptions) -> None:
        """Show these ways in place of those before."""
        self._heading.setText(shown.heading)
        self.setAccessibleName(shown.heading)
        for widgets in self._rows:
            for widget in widgets:
                widget.hide()
                widget.deleteLater()
        self._rows = [self._row(option) for option in shown.options]

    def _row(self, option: ContextOption) -> tuple[QPushButton, QLabel]:
        button = QPushButton(option.title, self)
        button.setEnabled(option.possible)
        button.setAccessibleDescription(option.price)
        button.clicked.connect(lambda: self._request(TakeWay(option.way)))
        price = self._label(option.price, self._style, is_price=True)
        button.show()
        price.show()
        return button, price

    def fit_width(self, width: int) -> int:
        """Lay out for `width` pixels; returns the height that takes."""
        em = self._style.em_px
        pad = round(em * 0.75)
        inner = width - 2 * pad
        y = pad
        height = self._heading.heightForWidth(inner)
        self._heading.setGeometry(pad, y, inner, height)
        y += height + round(em * 0.6)
        for button, price in self._rows:
            size = button.sizeHint()
            button.setGeometry(pad, y, min(inner, size.width()), size.height())
            y += size.height() + round(em * 0.15)
            height = price.heightForWidth(inner)
            price.setGeometry(pad, y, inner, height)
            y += height + round(em * 0.6)
        self.resize(width, y + round(em * 0.15))
        return self.height()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """A quiet box: nothing is wrong."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self._style.colours.accent, 1))
        painter.setBrush(self._style.colours.code_background)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)
