"""Offers the draft model that the catalogue names for the present model, in the panel."""

from __future__ import annotations

from PySide6.QtCore import Slot

from deepseek_r1.catalogue.download_spec import spec_for_draft
from deepseek_r1.catalogue.known_models import KnownDraft, draft_for_file
from deepseek_r1.core.i18n import tr
from r1desk.features import Presenter
from r1desk.models.controller import ModelController
from r1desk.models.downloads import Downloads, DownloadState
from r1desk.models.formatting import format_size
from r1desk.performance.widgets.load_section import LoadSection

_ON_ITS_WAY = (DownloadState.QUEUED, DownloadState.RUNNING)


class DraftOfferPresenter(Presenter):
    """Offers the download; then the model is loaded with the file."""

    def __init__(self, section: LoadSection, models: ModelController, downloads: Downloads) -> None:
        super().__init__(section)
        self._section, self._models, self._downloads = section, models, downloads
        section.draft_model.offered.clicked.connect(self._on_taken)
        models.loaded.connect(self._show)
        downloads.changed.connect(self._show)
        self._show()

    def close(self) -> None:
        """Disconnect before the window goes."""
        self._models.loaded.disconnect(self._show)
        self._downloads.changed.disconnect(self._show)
        super().close()

    @property
    def _draft(self) -> KnownDraft | None:
        path = self._models.loaded_path
        return draft_for_file(path.name) if path is not None else None

    def _is_on_its_way(self, draft: KnownDraft) -> bool:
        return any(
            each.order.file == draft.file and each.state in _ON_ITS_WAY
            for each in self._downloads.items
        )

    @Slot()
    def _show(self) -> None:
        row, draft = self._section.draft_model, self._draft
        if draft is None:
            row.offer("")
        elif self._is_on_its_way(draft):
            row.offer(tr("Downloading…"))
        elif (arrived := self._downloads.arrived(draft.file)) is not None:
            row.offer(tr("Load with it"), str(arrived))
        else:
            size = format_size(draft.about_bytes)
            row.offer(tr("Download about {size}", size=size), spec_for_draft(draft).url)

    @Slot()
    def _on_taken(self) -> None:
        draft = self._draft
        if draft is None or self._is_on_its_way(draft):
            return
        arrived = self._downloads.arrived(draft.file)
        if arrived is None:
            self._downloads.start(spec_for_draft(draft))
        else:
            self._models.apply_draft(arrived)
