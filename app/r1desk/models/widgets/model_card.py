"""A card for one model of the catalogue: purpose, size, fit and speed, and one button."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout

from deepseek_r1.catalogue.download_spec import DownloadSpec, default_source
from deepseek_r1.core.i18n import tr
from r1desk.models.catalogue_picks import (
    CatalogueFile,
    Pick,
    Purpose,
    purpose_text,
    purpose_title,
)
from r1desk.models.forecast.forecast import format_fit, format_raised
from r1desk.models.formatting import format_size
from r1desk.models.widgets.draft_check_box import DraftCheckBox
from r1desk.theme import explain, set_role
from r1desk.widgets.layouts import put_inside
from r1desk.widgets.text_label import text_label


class ModelCard(QFrame):
    """Shows a pick of the catalogue.

    Signals:
        download_requested: the CatalogueFile, and the KnownDraft to download with it or None.
        use_requested: the Path of the file, where it is on this computer.
    """

    download_requested = Signal(object, object)
    use_requested = Signal(object)

    def __init__(self, pick: Pick, spec: DownloadSpec) -> None:
        """`spec` is what the button downloads."""
        super().__init__()
        set_role(self, "card")
        file = pick.file
        self.key = pick.key
        self.file = file
        self._spec = spec
        self._place: Path | None = None
        self.setAccessibleName(f"{purpose_title(pick.purpose)}: {_name(file)}")
        self.title = text_label(purpose_title(pick.purpose), "dim")
        self.name = text_label(_name(file), "heading")
        self.purpose = text_label(purpose_text(pick.purpose))
        self.purpose.setWordWrap(True)
        self.facts = text_label("", "dim")
        self.source = text_label("", "dim")
        self.draft = DraftCheckBox()
        self.button = QPushButton(autoDefault=False)
        if pick.purpose is Purpose.RECOMMENDED:
            set_role(self.button, "primary")
        self.button.clicked.connect(self._on_button)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 10, 14, 12)
        texts = put_inside(row, QVBoxLayout())
        texts.setSpacing(3)
        row.setStretch(0, 1)
        for part in (self.title, self.name, self.purpose, self.facts, self.source, self.draft):
            texts.addWidget(part)
        row.addWidget(self.button, 0, Qt.AlignmentFlag.AlignVCenter)
        self.show_file(file)
        self.show_place(None, in_use=False, draft_here=False)

    def show_place(self, place: Path | None, *, in_use: bool, draft_here: bool) -> None:
        """Offer the file on this computer, unless it is in use; for None its download.

        `draft_here`: its draft model is on this computer.
        """
        self._place = place
        self.draft.offer(self.file if place is None else None, here=draft_here)
        if place is None:
            host = default_source(self.file.model, self.file.file)
            texts = tr("From {host}", host=host), self._download_text(), self._spec.url
        else:
            texts = on_this_computer(place), tr("Use this model"), str(place)
        source, button, tip = texts
        self.source.setText(source)
        self.button.setText(button)
        self.button.setEnabled(not in_use)
        for part in (self.source, self.button):
            explain(part, tip)

    def _download_text(self) -> str:
        return tr("Download {size}", size=format_size(self.file.file.size_bytes))

    @Slot()
    def _on_button(self) -> None:
        if self._place is None:
            self.download_requested.emit(self.file, self.draft.wanted)
        else:
            self.use_requested.emit(self._place)

    def show_file(self, file: CatalogueFile) -> None:
        """Show another estimate of the same file."""
        self.file = file
        forecast = file.forecast
        memory = tr("{mib:,.0f} MiB of memory", mib=forecast.bill.total_mib)
        lines = [f"{format_fit(forecast)} · {memory}", format_raised(forecast)]
        self.facts.setText("\n".join(line for line in lines if line))


def on_this_computer(place: Path) -> str:
    """Says in which folder a file of the catalogue is."""
    return tr("On this computer, in {folder}", folder=place.parent.name)


def _name(file: CatalogueFile) -> str:
    return f"{file.model.name} {file.file.quantisation}"
