"""The card of the first start: the model for this computer, what it costs, and three ways on."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QFrame,
    QGridLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.catalogue.speed import SpeedRange
from deepseek_r1.core.words import tr
from r1desk.chat.fonts import scaled
from r1desk.layouts import put_inside
from r1desk.library.survey import Offer
from r1desk.library.words import bill_words, breakable, download_words
from r1desk.theme import icon, set_role

ICON_PX = 16


class FirstStartCard(QFrame):
    """Shows an offer. Emits wishes; the owner carries them out and takes the card away."""

    download_requested = Signal(object)  # Offer
    starter_requested = Signal()
    file_requested = Signal()
    resized = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._symbols = {name: QLabel(self) for name in ("download", "memory", "clock", "link")}
        set_role(self, "card")
        self._offer: Offer | None = None
        self.heading = self._label("heading")
        self.heading.setFont(scaled(self.font(), 1.15))
        self.size, self.facts, self.speed = (self._label("") for _ in range(3))
        self.address = self._label("dim")
        self.download_button = QPushButton(tr("Download and start"), self)
        set_role(self.download_button, "primary")
        self.download_button.clicked.connect(lambda: self.download_requested.emit(self._offer))
        self.starter_button = QPushButton(tr("Use the starter model now"), self)
        self.starter_button.clicked.connect(self.starter_requested)
        self.file_button = QPushButton(tr("I have a file…"), self)
        self.file_button.clicked.connect(self.file_requested)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 14, 12, 14)
        layout.setSpacing(10)
        layout.addWidget(self.heading)
        self._fill_facts(put_inside(layout, QGridLayout()))
        self._buttons = put_inside(layout, QBoxLayout(QBoxLayout.Direction.LeftToRight))
        for button in (self.download_button, self.starter_button, self.file_button):
            self._buttons.addWidget(button)
        self._buttons.addStretch(1)

    def _fill_facts(self, grid: QGridLayout) -> None:
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(6)
        grid.setColumnStretch(1, 1)
        words = (self.size, self.facts, self.speed, self.address)
        for row, (symbol, label) in enumerate(zip(self._symbols.values(), words, strict=True)):
            grid.addWidget(symbol, row, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(label, row, 1)
        self._draw_symbols()

    def _draw_symbols(self) -> None:
        for name, symbol in self._symbols.items():
            symbol.setPixmap(icon(name, "text_dim").pixmap(ICON_PX, ICON_PX))

    def changeEvent(self, event: QEvent) -> None:
        """Other colours."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._draw_symbols()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Buttons one below the other where there is no room for a row."""
        super().resizeEvent(event)
        buttons = (self.download_button, self.starter_button, self.file_button)
        row = sum(button.sizeHint().width() + self._buttons.spacing() for button in buttons)
        margins = self.layout().contentsMargins()
        narrow = row > self.width() - margins.left() - margins.right()
        way = QBoxLayout.Direction.TopToBottom if narrow else QBoxLayout.Direction.LeftToRight
        if self._buttons.direction() != way:
            self._buttons.setDirection(way)
        self.resized.emit()

    def _label(self, role: str) -> QLabel:
        label = QLabel(self, wordWrap=True, textFormat=Qt.TextFormat.PlainText)
        if role:
            set_role(label, role)
        return label

    def show_offer(self, offer: Offer | None) -> None:
        """The model that suits this computer, or None where none fits the budget."""
        self._offer = offer
        self.download_button.setVisible(offer is not None)
        for name, label in (("download", self.size), ("clock", self.speed), ("link", self.address)):
            for part in (self._symbols[name], label):
                part.setVisible(offer is not None)
        if offer is None:
            self.heading.setText(tr("No DeepSeek-R1 model fits the memory budget"))
            self.facts.setText(tr("Raise the budget on the right, or start with a small model."))
            return
        name = f"{offer.model.name} {offer.file.quantisation}"
        self.heading.setText(tr("For this computer: {model}", model=name))
        self.size.setText(download_words(offer.file.size_bytes, offer.free_bytes))
        self.facts.setText(bill_words(offer.bill))
        self.speed.setText(tr("Measuring how fast it would be…"))
        self.address.setText(
            tr("From {host}: {address}", host=offer.host, address=breakable(offer.order.url))
        )

    @Slot(object)
    def show_speed(self, speed: SpeedRange) -> None:
        """How fast it will be, by this computer's memory."""
        self.speed.setText(
            tr(
                "Expected: {least} to {most} tokens a second, by the speed of this memory",
                least=_rate(speed.least_tok_s),
                most=_rate(speed.most_tok_s),
            )
        )


def _rate(tok_s: float) -> str:
    return f"{tok_s:.0f}" if tok_s >= 10 else f"{tok_s:.1f}"
