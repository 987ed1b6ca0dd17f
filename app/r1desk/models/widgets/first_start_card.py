"""The card of the first start: the best model for this computer, and other ways."""

from urllib.parse import urlsplit

from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QPushButton, QVBoxLayout, QWidget

from deepseek_r1.catalogue.model_file import ModelFile
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.units import format_size
from r1desk.chat.messages.welcome import WelcomeCard
from r1desk.chat.text import display_text
from r1desk.models.file_texts import owner_text
from r1desk.models.widgets.model_box import FileSummary
from r1desk.theme import explain, set_role
from r1desk.theme.fonts import scaled
from r1desk.widgets.layouts import filled, put_inside
from r1desk.widgets.text_label import text_label


class FirstStartCard(WelcomeCard):
    """Shows the offer. Its owner connects the buttons and hides the card."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        set_role(self, "card")
        self.heading = text_label(tr("Looking for the best model for this computer…"), "heading")
        self.heading.setWordWrap(True)
        self.heading.setFont(scaled(self.font(), 1.15))
        self.summary = FileSummary(self)
        self.source = text_label("", "dim")
        self.button = QPushButton(tr("Use it"), self)
        set_role(self.button, "primary")
        self.starter_button = QPushButton(tr("Use the starter model now"), self)
        self.choose_button = QPushButton(tr("Choose a model…"), self)
        self._offer = (self.summary, self.source, self.button)
        column = filled(QVBoxLayout(self), self.heading, self.summary, self.source, spacing=8)
        column.setContentsMargins(14, 14, 14, 14)
        self._row = put_inside(column, QBoxLayout(QBoxLayout.Direction.LeftToRight))
        filled(self._row, self.button, self.starter_button, self.choose_button).addStretch(1)
        for part in self._offer:
            part.hide()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Put the buttons one below the other where a row would be too wide."""
        buttons = (self.button, self.starter_button, self.choose_button)
        shown = [each for each in buttons if not each.isHidden()]
        row = sum(each.sizeHint().width() + self._row.spacing() for each in shown)
        narrow = row > self._row.contentsRect().width()
        way = QBoxLayout.Direction.TopToBottom if narrow else QBoxLayout.Direction.LeftToRight
        self._row.setDirection(way)
        self.resized.emit()

    def show_offer(self, file: ModelFile | None) -> None:
        """Show a file of this computer or of the catalogue; None where no model fits."""
        none = tr("No DeepSeek-R1 model fits in this computer's memory")
        self.heading.setText(
            tr("The best DeepSeek-R1 for this computer") if file is not None else none
        )
        self.summary.show_file(file)
        if file is not None and file.path is not None:
            self.source.setText(owner_text(file))
            address = display_text.prose(str(file.path))
        elif file is not None:
            address = file.specs[0].url
            host, site = next(iter(file.sources)), urlsplit(address).hostname or ""
            self.source.setText(tr("From {host} ({site})", host=host, site=site))
            self.button.setText(tr("Download {size}", size=format_size(file.size_bytes or 0)))
        if file is not None:
            explain(self.source, address)
            explain(self.button, address)
        for part in self._offer:
            part.setVisible(file is not None)
        self._fit()
