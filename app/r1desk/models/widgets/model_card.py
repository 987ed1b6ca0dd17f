"""A card for one model of the catalogue: purpose, size, fit and speed, and one button."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout

from deepseek_r1.catalogue.download_spec import DownloadSpec, default_source
from deepseek_r1.core.i18n import tr
from r1desk.models.catalogue_picks import (
    CatalogueFile,
    Pick,
    Purpose,
    purpose_text,
    purpose_title,
)
from r1desk.models.fit import format_fit, format_raised
from r1desk.models.formatting import format_size
from r1desk.theme import explain, set_role
from r1desk.widgets.layouts import put_inside
from r1desk.widgets.text_label import text_label


class ModelCard(QFrame):
    """Shows a pick of the catalogue.

    Signals:
        download_requested: the CatalogueFile.
    """

    download_requested = Signal(object)

    def __init__(self, pick: Pick, spec: DownloadSpec) -> None:
        """`spec` is what the button downloads."""
        super().__init__()
        set_role(self, "card")
        file = pick.file
        self.key = pick.key
        self.file = file
        self.setAccessibleName(f"{purpose_title(pick.purpose)}: {_name(file)}")
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.title = text_label(purpose_title(pick.purpose), "dim")
        self.name = text_label(_name(file), "heading")
        self.purpose = text_label(purpose_text(pick.purpose))
        self.purpose.setWordWrap(True)
        self.facts = text_label("", "dim")
        self.source = text_label(
            tr("From {host}", host=default_source(file.model, file.file)), "dim"
        )
        explain(self.source, spec.url)
        self.button = QPushButton(
            tr("Download {size}", size=format_size(file.file.size_bytes)), autoDefault=False
        )
        if pick.purpose is Purpose.RECOMMENDED:
            set_role(self.button, "primary")
        explain(self.button, spec.url)
        self.button.clicked.connect(lambda: self.download_requested.emit(self.file))
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 10, 14, 12)
        texts = put_inside(row, QVBoxLayout())
        texts.setSpacing(3)
        row.setStretch(0, 1)
        for label in (self.title, self.name, self.purpose, self.facts, self.source):
            texts.addWidget(label)
        row.addWidget(self.button, 0, Qt.AlignmentFlag.AlignVCenter)
        self.show_file(file)

    def show_file(self, file: CatalogueFile) -> None:
        """Show another estimate of the same file."""
        self.file = file
        estimate = file.estimate
        memory = tr("{mib:,.0f} MiB of memory", mib=estimate.bill.total_mib)
        lines = [f"{format_fit(estimate)} · {memory}", format_raised(estimate)]
        self.facts.setText("\n".join(line for line in lines if line))


def _name(file: CatalogueFile) -> str:
    return f"{file.model.name} {file.file.quantisation}"
