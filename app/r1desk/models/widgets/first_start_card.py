"""The card of the first start: the model for this computer, its cost, and three buttons."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from PySide6.QtCore import QEvent, Qt, Signal, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.catalogue.installed import AppFile
from deepseek_r1.core.i18n import tr
from r1desk.chat.messages.welcome import WelcomeCard
from r1desk.chat.text import display_text
from r1desk.models.catalogue_picks import RecommendedDownload
from r1desk.models.forecast import format_rate
from r1desk.models.formatting import format_bill_summary, format_download
from r1desk.models.scan import owner_name
from r1desk.theme import explain, icon, set_role
from r1desk.theme.fonts import scaled
from r1desk.widgets.layouts import put_inside
from r1desk.widgets.text_label import ElidedLabel

ICON_PX = 16


class FirstStartCard(WelcomeCard):
    """Shows a recommendation. Its owner connects the buttons and hides the card."""

    download_requested = Signal(object)  # RecommendedDownload
    found_requested = Signal(object)  # the Path of a model that is on this computer

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._symbols = {name: QLabel(self) for name in ("download", "memory", "clock", "link")}
        set_role(self, "card")
        self._offer: RecommendedDownload | None = None
        self.heading = self._label("heading")
        self.heading.setFont(scaled(self.font(), 1.15))
        self.size, self.facts, self.speed, self.source = (self._label("") for _ in range(4))
        self.download_button = QPushButton(tr("Download and start"), self)
        set_role(self.download_button, "primary")
        self.download_button.clicked.connect(lambda: self.download_requested.emit(self._offer))
        self.found_label = ElidedLabel(self)
        self.found_label.setTextFormat(Qt.TextFormat.PlainText)
        self.found_button = QPushButton(tr("Use it"), self)
        self._found: Path | None = None
        self.found_button.clicked.connect(lambda: self.found_requested.emit(self._found))
        self.starter_button = QPushButton(tr("Use the starter model now"), self)
        self.file_button = QPushButton(tr("I have a file…"), self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 14, 12, 14)
        layout.setSpacing(10)
        found = put_inside(layout, QHBoxLayout())
        found.addWidget(self.found_label, 1)
        found.addWidget(self.found_button)
        self.found_label.hide()
        self.found_button.hide()
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
        labels = (self.size, self.facts, self.speed, self.source)
        for row, (symbol, label) in enumerate(zip(self._symbols.values(), labels, strict=True)):
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
        """Stack the buttons where a row would be too wide."""
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

    @Slot(object)
    def show_file(self, file: AppFile) -> None:
        """Offer a model that is already on this computer, before any download."""
        self._found = file.path
        name = display_text.prose(file.name or file.path.stem)
        self.found_label.setText(
            tr("On this computer ({place}): {model}", place=owner_name(file.owner), model=name)
        )
        self.found_label.setToolTip(display_text.prose(str(file.path)))
        set_role(self.found_button, "primary")
        set_role(self.download_button, "")
        self.found_label.show()
        self.found_button.show()
        self.resized.emit()

    def show_offer(self, offer: RecommendedDownload | None) -> None:
        """Show the recommended model, or None where none fits the budget."""
        self._offer = offer
        self.download_button.setVisible(offer is not None)
        parts = (("download", self.size), ("clock", self.speed), ("link", self.source))
        for name, widget in parts:
            for part in (self._symbols[name], widget):
                part.setVisible(offer is not None)
        if offer is None:
            self.heading.setText(tr("No DeepSeek-R1 model fits the memory budget"))
            self.facts.setText(tr("Raise the memory budget, or start with a small model."))
            return
        self.heading.setText(tr("For this computer: {model}", model=offer.file.name))
        self.size.setText(format_download(offer.file.file.size_bytes, offer.free_bytes))
        self.facts.setText(format_bill_summary(offer.file.forecast.bill))
        self.speed.setText(tr("Measuring how fast it would be…"))
        site = urlsplit(offer.order.url).hostname or ""
        self.source.setText(tr("From {host} ({site})", host=offer.host, site=site))
        for part in (self.source, self.download_button):
            explain(part, offer.order.url)
        self.resized.emit()

    @Slot(object)
    def show_speed(self, offer: RecommendedDownload) -> None:
        """Show the expected speed."""
        rate = format_rate(offer.file.forecast.tok_s)
        self.speed.setText(
            tr("About {rate} tokens a second, estimated from this computer's memory", rate=rate)
        )
