"""A model's file in short: its name, its purpose, and fit, speed and memory as chips."""

from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from deepseek_r1.catalogue.model_file import ModelFile
from r1desk.chat.text import display_text
from r1desk.models.file_texts import chips
from r1desk.theme import explain
from r1desk.widgets.layouts import filled, put_inside
from r1desk.widgets.text_label import ElidedLabel, text_label

_MOST_CHIPS = 3


class FileSummary(QWidget):
    """The head of the chooser's detail pane, and of an offer of the first start."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = ElidedLabel(self)
        self.name.setProperty("role", "heading")
        self.purpose = text_label("")
        self.purpose.setWordWrap(True)
        self.chips = [text_label("", "badge") for _ in range(_MOST_CHIPS)]
        column = filled(QVBoxLayout(self), self.name, self.purpose, spacing=6)
        filled(put_inside(column, QHBoxLayout()), *self.chips, spacing=6).addStretch()

    def show_file(self, file: ModelFile | None) -> None:
        """Show a file; None for nothing."""
        title = display_text.prose(file.title) if file is not None else ""
        self.name.setText(title)
        explain(self.name, title)
        self.purpose.setText(file.known.purpose_text if file is not None and file.known else "")
        self.purpose.setVisible(bool(self.purpose.text()))
        facts = chips(file) if file is not None else []
        for chip, fact in zip(self.chips, [*facts, *[""] * _MOST_CHIPS], strict=False):
            chip.setText(fact)
            chip.setVisible(bool(fact))
