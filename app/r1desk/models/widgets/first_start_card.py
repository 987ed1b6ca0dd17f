"""The card of the first start: a small model, a better one where memory is free, and other ways."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from PySide6.QtCore import QEvent, Qt, Signal, Slot
from PySide6.QtGui import QFont, QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.catalogue.installed import AppFile
from deepseek_r1.core.i18n import tr
from deepseek_r1.memory.forecast import format_rate
from r1desk.chat.messages.welcome import WelcomeCard
from r1desk.chat.text import display_text
from r1desk.models.catalogue_picks import LEAST_TOK_S, CatalogueFile, FirstOffers
from r1desk.models.formatting import format_download, format_mib
from r1desk.models.scan import owner_name
from r1desk.theme import explain, icon, set_role
from r1desk.theme.fonts import scaled
from r1desk.widgets.layouts import filled, put_inside, with_properties
from r1desk.widgets.text_label import ElidedLabel

ICON_PX = 16
_COLUMN_EMS = 17  # narrower offers are one below the other


class OfferBox(QFrame):
    """One model: its name, memory, speed and size, and the button that downloads it."""

    def __init__(self, caption: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.caption, self.name = _label(self, "dim"), _label(self)
        self.caption.setText(caption)
        bold = QFont(self.font())
        bold.setWeight(QFont.Weight.DemiBold)
        self.name.setFont(bold)
        self._symbols = {name: QLabel(self) for name in ("memory", "clock", "download", "link")}
        self.memory, self.speed, self.download_size, self.source = (_label(self) for _ in range(4))
        self.button = QPushButton(self)
        box = filled(QVBoxLayout(self), self.caption, self.name, spacing=6)
        grid = put_inside(
            box, with_properties(QGridLayout(), horizontalSpacing=8, verticalSpacing=4)
        )
        grid.setColumnStretch(1, 1)
        labels = (self.memory, self.speed, self.download_size, self.source)
        for row, (symbol, label) in enumerate(zip(self._symbols.values(), labels, strict=True)):
            grid.addWidget(symbol, row, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(label, row, 1)
        box.addStretch(1)
        box.addWidget(self.button, 0, Qt.AlignmentFlag.AlignLeft)
        self._draw_symbols()

    def _draw_symbols(self) -> None:
        for name, symbol in self._symbols.items():
            symbol.setPixmap(icon(name, "text_dim").pixmap(ICON_PX, ICON_PX))

    def changeEvent(self, event: QEvent) -> None:
        """Other colours."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._draw_symbols()

    def show_offer(self, file: CatalogueFile | None, memory: str, free_bytes: int | None) -> None:
        """Show a model; None hides the box. `memory` is what the model is given, in words."""
        self.setVisible(file is not None)
        if file is None:
            return
        self.name.setText(file.name)
        self.memory.setText(memory)
        rate = file.forecast.tok_s
        self.speed.setText(
            tr("About {rate} tokens a second", rate=format_rate(rate))
            if rate
            else tr("Measuring how fast it would be…")
        )
        self.download_size.setText(format_download(file.file.size_bytes, free_bytes))
        url = file.spec.url
        site = urlsplit(url).hostname or ""
        self.source.setText(tr("From {host} ({site})", host=file.host, site=site))
        self.button.setText(tr("Download and give it {memory}", memory=format_mib(file.budget_mib)))
        for part in (self.source, self.button):
            explain(part, url)


class FirstStartCard(WelcomeCard):
    """Shows the offers. Its owner connects the buttons and hides the card."""

    download_requested = Signal(object)  # CatalogueFile
    found_requested = Signal(object)  # the Path of a model that is on this computer

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        set_role(self, "card")
        self._offers: FirstOffers | None = None
        self.heading = _label(self, "heading")
        self.heading.setFont(scaled(self.font(), 1.15))
        self.small, self.better = OfferBox(tr("Small"), self), OfferBox(tr("Better"), self)
        for name in ("small", "better"):
            getattr(self, name).button.clicked.connect(partial(self._on_download, name))
        self.found_label = ElidedLabel(self)
        self.found_label.setTextFormat(Qt.TextFormat.PlainText)
        self.found_button = QPushButton(tr("Use it"), self)
        self._found: Path | None = None
        self.found_button.clicked.connect(lambda: self.found_requested.emit(self._found))
        self.starter_button = QPushButton(tr("Use the starter model now"), self)
        self.file_button = QPushButton(tr("I have a file…"), self)
        layout = filled(QVBoxLayout(self), spacing=12, margins=(14, 14, 14, 14))
        found = filled(put_inside(layout, QHBoxLayout()), self.found_label, self.found_button)
        found.setStretch(0, 1)
        self.found_label.hide()
        self.found_button.hide()
        layout.addWidget(self.heading)
        self._columns = put_inside(
            layout, with_properties(QBoxLayout(QBoxLayout.Direction.LeftToRight), spacing=20)
        )
        self._columns.addWidget(self.small, 1)
        self._columns.addWidget(self.better, 1)
        self._buttons = put_inside(layout, QBoxLayout(QBoxLayout.Direction.LeftToRight))
        filled(self._buttons, self.starter_button, self.file_button).addStretch(1)

    def _on_download(self, name: str) -> None:
        if self._offers is not None:
            self.download_requested.emit(getattr(self._offers, name))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Put one below the other what would be too wide."""
        super().resizeEvent(event)
        margins = (
            self.contentsMargins() if (box := self.layout()) is None else box.contentsMargins()
        )
        width = self.width() - margins.left() - margins.right()
        buttons = (self.starter_button, self.file_button)
        row = sum(button.sizeHint().width() + self._buttons.spacing() for button in buttons)
        least = max(
            self.small.button.sizeHint().width(),
            self.better.button.sizeHint().width(),
            _COLUMN_EMS * self.fontMetrics().height(),
        )
        for box, narrow in ((self._buttons, row > width), (self._columns, 2 * least > width)):
            way = QBoxLayout.Direction.TopToBottom if narrow else QBoxLayout.Direction.LeftToRight
            if box.direction() != way:
                box.setDirection(way)
        self.resized.emit()

    @Slot(object)
    def show_file(self, file: AppFile) -> None:
        """Offer a model that is already on this computer, before any download."""
        self._found = file.path
        name = display_text.prose(file.name or file.path.stem)
        self.found_label.setText(
            tr("On this computer ({place}): {model}", place=owner_name(file.owner), model=name)
        )
        self.found_label.setToolTip(display_text.prose(str(file.path)))
        self.found_label.show()
        self.found_button.show()
        self._mark_primary()
        self.resized.emit()

    def _mark_primary(self) -> None:
        """One button stands out: a file that is here, else the better model where it is quick."""
        better = self._offers.better if self._offers is not None else None
        quick = better is not None and not 0 < better.forecast.tok_s < LEAST_TOK_S
        chosen = self.better.button if quick else self.small.button
        if self._found is not None:
            chosen = self.found_button
        for button in (self.found_button, self.small.button, self.better.button):
            set_role(button, "primary" if button is chosen else "")

    @Slot(object)
    def show_offers(self, offers: FirstOffers) -> None:
        """Show the models; where none fits the budget, say so."""
        self._offers = offers
        small, better, drive = offers.small, offers.better, offers.free_bytes
        self.small.caption.setVisible(better is not None)
        given = tr("{n} of memory", n=format_mib(small.budget_mib)) if small is not None else ""
        self.small.show_offer(small, given, drive)
        self.better.show_offer(better, _free_text(better, offers.free_mib), drive)
        heading = tr("No DeepSeek-R1 model fits into this computer's memory")
        self.heading.setText(tr("For this computer") if small is not None else heading)
        self._mark_primary()
        self.resized.emit()


def _label(parent: QWidget, role: str = "") -> QLabel:
    label = QLabel(parent, wordWrap=True, textFormat=Qt.TextFormat.PlainText)
    if role:
        set_role(label, role)
    return label


def _free_text(file: CatalogueFile | None, free_mib: float) -> str:
    if file is None:
        return ""
    given, free = format_mib(file.budget_mib), format_mib(free_mib)
    return tr("{given} of your {free} of free memory", given=given, free=free)
