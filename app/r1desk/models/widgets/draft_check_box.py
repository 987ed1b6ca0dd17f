"""A check box that adds a model's draft model to its download."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QCheckBox, QSizePolicy

from deepseek_r1.catalogue.download_spec import spec_for_draft
from deepseek_r1.catalogue.known_models import KnownDraft, draft_of
from deepseek_r1.core.i18n import tr
from r1desk.models.catalogue_picks import CatalogueFile
from r1desk.models.formatting import format_size
from r1desk.theme import explain


class DraftCheckBox(QCheckBox):
    """Hidden unless the model has a draft model; checked where the model runs from the disk.

    There drafts can make answers faster. What the user chose stays.
    """

    def __init__(self) -> None:
        super().__init__()
        self._draft: KnownDraft | None = None
        self._chosen: bool | None = None  # by the user
        self.clicked.connect(self._on_clicked)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)  # as wide as clicks
        self.hide()

    @property
    def wanted(self) -> KnownDraft | None:
        """The draft model to download along with the model."""
        return self._draft if self.isChecked() else None

    def offer(self, file: CatalogueFile | None, *, here: bool) -> None:
        """Offer the draft model of `file`, which is not offered where it is `here` already."""
        draft = draft_of(file.model) if file is not None and not here else None
        self._draft = draft
        self.setVisible(draft is not None)
        if file is None or draft is None:
            return
        size = format_size(draft.about_bytes)
        self.setText(tr("With its draft model, about {size} more", size=size))
        lines = (
            tr("A small model that can make answers faster where the model runs from the disk."),
            tr("Its licence is stated on {page}", page=str(draft.origin)),
            spec_for_draft(draft).url,
        )
        explain(self, "\n".join(lines))
        streams = file.forecast.bill.streams
        self.setChecked(streams if self._chosen is None else self._chosen)

    @Slot(bool)
    def _on_clicked(self, checked: bool) -> None:
        self._chosen = checked
