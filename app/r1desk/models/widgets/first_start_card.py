"""The card of the first start: a small model, the best for this computer, and other ways."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QFrame, QPushButton, QVBoxLayout, QWidget

from deepseek_r1.catalogue.model_file import ModelFile
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.units import format_size
from r1desk.chat.messages.welcome import WelcomeCard
from r1desk.chat.text import display_text
from r1desk.models.file_texts import owner_text
from r1desk.models.formatting import format_download
from r1desk.models.widgets.file_summary import FileSummary
from r1desk.theme import explain, set_role
from r1desk.theme.fonts import scaled
from r1desk.widgets.layouts import filled, put_inside, with_properties
from r1desk.widgets.text_label import call_with, text_label

_COLUMN_EMS = 11  # narrower offers are one below the other


class OfferBox(QFrame):
    """One model: what it is, where it comes from, and the button that loads or downloads it."""

    def __init__(self, caption: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.caption, self.summary = text_label(caption, "dim"), FileSummary(self)
        self.size_on_disk, self.source = text_label("", "dim"), text_label("", "dim")
        self.button = QPushButton(tr("Use it"), self)
        parts = (self.caption, self.summary, self.size_on_disk, self.source)
        box = filled(QVBoxLayout(self), *parts, spacing=6)
        box.addStretch(1)
        box.addWidget(self.button, 0, Qt.AlignmentFlag.AlignLeft)
        self.hide()

    def show_offer(self, file: ModelFile, free_bytes: int | None) -> None:
        """Show a file of this computer, or one of the catalogue."""
        self.summary.show_file(file)
        if file.path is not None:
            self.source.setText(owner_text(file))
            address = display_text.prose(str(file.path))
        else:
            address = file.specs[0].url
            host, site = next(iter(file.sources)), urlsplit(address).hostname or ""
            self.source.setText(tr("From {host} ({site})", host=host, site=site))
            size = file.size_bytes or 0
            self.size_on_disk.setText(format_download(size, free_bytes))
            self.button.setText(tr("Download {size}", size=format_size(size)))
        self.size_on_disk.setVisible(file.path is None)
        for part in (self.source, self.button):
            explain(part, address)
        self.show()


class FirstStartCard(WelcomeCard):
    """Shows the offers. Its owner connects the buttons and hides the card."""

    wanted = Signal(object)  # the ModelFile whose button was clicked

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        set_role(self, "card")
        self.heading = text_label(tr("Looking for the best model for this computer…"), "heading")
        self.heading.setWordWrap(True)
        self.heading.setFont(scaled(self.font(), 1.15))
        self.found = OfferBox(tr("On this computer"), self)
        self.best = OfferBox(tr("The best DeepSeek-R1 for this computer"), self)
        self.small = OfferBox(tr("Small"), self)
        self._boxes = (self.found, self.best, self.small)
        self.starter_button = QPushButton(tr("Use the starter model now"), self)
        self.file_button = QPushButton(tr("I have a file…"), self)
        layout = filled(QVBoxLayout(self), spacing=12, margins=(14, 14, 14, 14))
        layout.addWidget(self.heading)
        self._columns = put_inside(
            layout, with_properties(QBoxLayout(QBoxLayout.Direction.LeftToRight), spacing=20)
        )
        for box in self._boxes:
            self._columns.addWidget(box, 1)
        self._buttons = put_inside(layout, QBoxLayout(QBoxLayout.Direction.LeftToRight))
        filled(self._buttons, self.starter_button, self.file_button).addStretch(1)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Put one below the other what would be too wide; one button stands out: the first."""
        shown = [box for box in self._boxes if not box.isHidden()]
        for box in shown:
            set_role(box.button, "primary" if box is shown[0] else "")
        width = self.contentsRect().width() - 28  # the layout's margins
        buttons = (self.starter_button, self.file_button)
        row = sum(button.sizeHint().width() + self._buttons.spacing() for button in buttons)
        ems = _COLUMN_EMS * self.fontMetrics().height()
        least = sum(20 + max(ems, box.minimumSizeHint().width()) for box in shown)
        for layout, narrow in ((self._buttons, row > width), (self._columns, least > width)):
            way = QBoxLayout.Direction.TopToBottom if narrow else QBoxLayout.Direction.LeftToRight
            if layout.direction() != way:
                layout.setDirection(way)
        self.resized.emit()

    def show_file(self, file: ModelFile) -> None:
        """Offer a model that is already on this computer, before any download."""
        self._show(self.found, file, None)

    def show_offers(self, offers: Sequence[ModelFile], free_bytes: int | None) -> None:
        """Show the models, the best one last; where none fits the budget, say so."""
        none = tr("No DeepSeek-R1 model fits in this computer's memory")
        self.heading.setText(tr("For this computer") if offers else none)
        for box, file in zip((self.best, self.small), reversed(offers), strict=False):
            self._show(box, file, free_bytes)
        self._fit()

    def _show(self, box: OfferBox, file: ModelFile, free_bytes: int | None) -> None:
        box.show_offer(file, free_bytes)
        call_with(box.button.clicked, self.wanted.emit, file)
        self._fit()
