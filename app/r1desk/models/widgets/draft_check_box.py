"""A check box that adds a model's draft model to its download."""

from __future__ import annotations

from PySide6.QtWidgets import QCheckBox, QSizePolicy

from deepseek_r1.catalogue.download_spec import spec_for_draft
from deepseek_r1.catalogue.known_models import KnownDraft, draft_of
from deepseek_r1.core.i18n import tr
from r1desk.models.catalogue_picks import CatalogueFile
from r1desk.models.formatting import format_size
from r1desk.theme import explain


class DraftCheckBox(QCheckBox):
    """Hidden unless the model has a draft model; checked where that makes answers faster.

    It does so for a model that runs from the disk.
    """

    def __init__(self) -> None:
        super().__init__()
        self._draft: KnownDraft | None = None
        self._offered = False
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)  # as wide as clicks
        self.hide()

    @property
    def wanted(self) -> KnownDraft | None:
        """The draft model to download along with the model."""
        return self._draft if self._offered and self.isChecked() else None

    def offer(self, file: CatalogueFile | None, *, here: bool) -> None:
        """Offer the draft model of `file`, which is not offered where it is `here` already."""
        draft = draft_of(file.model) if file is not None else None
        self._offered = draft is not None and not here
        self.setVisible(self._offered)
        if file is None or draft is None or draft == self._draft:
            return
        self._draft = draft
        size = format_size(draft.about_bytes)
        self.setText(tr("With its draft model, about {size} more", size=size))
        purpose = tr("A small model that makes answers faster where the model runs from the disk.")
        explain(self, f"{purpose}\n{spec_for_draft(draft).url}")
        self.setChecked(file.estimate.bill.streams)
