"""The card of the first start: a small model, the best for this computer, and other ways."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from deepseek_r1.catalogue.model_file import ModelFile
from deepseek_r1.core.i18n import tr
from r1desk.chat.messages.welcome import WelcomeCard
from r1desk.chat.text import display_text
from r1desk.models.file_texts import owner_text
from r1desk.models.formatting import format_download, format_size
from r1desk.models.widgets.file_summary import FileSummary
from r1desk.theme import explain, set_role
from r1desk.theme.fonts import scaled
from r1desk.widgets.layouts import filled, put_inside, with_properties
from r1desk.widgets.text_label import ElidedLabel, text_label

_COLUMN_EMS = 17  # narrower offers are one below the other


class OfferBox(QFrame):
    """One model: what it is, where it comes from, and the button that downloads it."""

    def __init__(self, caption: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.caption, self.summary = text_label(caption, "dim"), FileSummary(self)
        self.download_size, self.source = text_label("", "dim"), text_label("", "dim")
        self.button = QPushButton(self)
        parts = (self.caption, self.summary, self.download_size, self.source)
        box = filled(QVBoxLayout(self), *parts, spacing=6)
        box.addStretch(1)
        box.addWidget(self.button, 0, Qt.AlignmentFlag.AlignLeft)
        self.hide()

    def show_offer(self, file: ModelFile, free_bytes: int | None) -> None:
        """Show a model of the catalogue."""
        self.summary.show_file(file)
        size, url = file.size_bytes or 0, file.specs[0].url
        self.download_size.setText(format_download(size, free_bytes))
        host, site = next(iter(file.sources)), urlsplit(url).hostname or ""
        self.source.setText(tr("From {host} ({site})", host=host, site=site))
        self.button.setText(tr("Download {size}", size=format_size(size)))
        for part in (self.source, self.button):
            explain(part, url)
        self.show()


class FirstStartCard(WelcomeCard):
    """Shows the offers. Its owner connects the buttons and hides the card."""

    download_requested = Signal(object)  # ModelFile
    found_requested = Signal(object)  # the Path of a model that is on this computer

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        set_role(self, "card")
        self.heading = text_label(tr("Looking for the best model for this computer…"), "heading")
        self.heading.setWordWrap(True)
        self.heading.setFont(scaled(self.font(), 1.15))
        self.small = OfferBox(tr("Small"), self)
        self.best = OfferBox(tr("The best DeepSeek-R1 for this computer"), self)
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
        self._columns.addWidget(self.best, 1)
        self._buttons = put_inside(layout, QBoxLayout(QBoxLayout.Direction.LeftToRight))
        filled(self._buttons, self.starter_button, self.file_button).addStretch(1)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Put one below the other what would be too wide."""
        super().resizeEvent(event)
        width = self.contentsRect().width() - 28  # the layout's margins
        buttons = (self.starter_button, self.file_button)
        row = sum(button.sizeHint().width() + self._buttons.spacing() for button in buttons)
        least = _COLUMN_EMS * self.fontMetrics().height()
        for box, narrow in ((self._buttons, row > width), (self._columns, 2 * least > width)):
            way = QBoxLayout.Direction.TopToBottom if narrow else QBoxLayout.Direction.LeftToRight
            if box.direction() != way:
                box.setDirection(way)
        self.resized.emit()

    def show_file(self, file: ModelFile) -> None:
        """Offer a model that is already on this computer, before any download."""
        if file.path is None:
            return
        self._found = file.path
        name = display_text.prose(file.name or file.path.stem)
        self.found_label.setText(
            tr("On this computer ({place}): {model}", place=owner_text(file), model=name)
        )
        self.found_label.setToolTip(display_text.prose(str(file.path)))
        self.found_label.show()
        self.found_button.show()
        self._mark_primary()
        self.resized.emit()

    def _mark_primary(self) -> None:
        """One button stands out: a file that is here, else the best model."""
        here = self._found is not None
        set_role(self.found_button, "primary" if here else "")
        set_role(self.best.button, "" if here else "primary")

    def show_offers(self, offers: Sequence[ModelFile], free_bytes: int | None) -> None:
        """Show the models, the best one last; where none fits the budget, say so."""
        for box, file in zip((self.best, self.small), reversed(offers), strict=False):
            box.show_offer(file, free_bytes)
            box.button.clicked.connect(partial(self.download_requested.emit, file))
        none = tr("No DeepSeek-R1 model fits into this computer's memory")
        self.heading.setText(tr("For this computer") if offers else none)
        self._mark_primary()
        self.resized.emit()
