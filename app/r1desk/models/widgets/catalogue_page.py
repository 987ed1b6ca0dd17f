"""Shows the catalogue: a few picks for the budget as cards, all files on a page of their own.

Nothing is downloaded before its button is pressed; address, size and bill are shown before that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QFrame,
    QLabel,
    QPushButton,
    QScrollArea,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.catalogue.download_spec import spec_for_draft, spec_for_known
from deepseek_r1.catalogue.installed import known_by
from deepseek_r1.catalogue.known_models import KnownDraft, find_draft
from deepseek_r1.core.i18n import join_list, join_sentences, tr
from deepseek_r1.memory.forecast import Forecast
from r1desk.models.catalogue_picks import CatalogueFile, pick, survey_catalogue
from r1desk.models.forecast_service import ForecastService
from r1desk.models.scan import FoundModel
from r1desk.models.widgets.catalogue_table import CatalogueTable
from r1desk.models.widgets.model_card import FilesHere, ModelCard
from r1desk.platform.tasks import Tasks, task
from r1desk.theme import icon, set_role
from r1desk.widgets.layouts import ScrolledColumn, discard, filled, put_inside, with_properties
from r1desk.widgets.text_label import text_label


class CataloguePage(QWidget):
    """The cards, and the page with all files."""

    download_requested = Signal(object, object)  # the DownloadSpec, that of a draft model or None
    use_requested = Signal(object)  # the Path of a file that is on this computer

    def __init__(self, forecasts: ForecastService, give: Callable[[int], object]) -> None:
        super().__init__()
        self.cards: list[ModelCard] = []
        self._headings: list[QLabel] = []
        self._files: tuple[CatalogueFile, ...] = ()
        self._here = FilesHere()
        self._known: dict[str, Forecast] = {}  # of the files that are here: by their own headers
        self._give = give
        self.note = text_label(tr("Estimating how the models run on this computer…"), "dim")
        self.all_button = QPushButton(icon("chevron-right"), tr("All files"), autoDefault=False)
        self.back_button = QPushButton(icon("chevron-left"), tr("Back"), autoDefault=False)
        for button, page in ((self.all_button, 1), (self.back_button, 0)):
            set_role(button, "fold")
            button.clicked.connect(partial(self._show_page, page))
        self.table = CatalogueTable(give)
        self.table.download_requested.connect(self._on_download)
        self.table.use_requested.connect(self.use_requested)
        all_files = QWidget()
        filled(QVBoxLayout(all_files), self.back_button, self.table, margins=(9, 9, 9, 9))
        self.pages = QStackedLayout(self)
        self.pages.addWidget(self._create_scroll_area())
        self.pages.addWidget(all_files)
        self._forecasts = forecasts
        self.tasks = Tasks(self)
        self._started = False

    def _show_page(self, index: int) -> None:
        """Show the cards or all files, with the keyboard at the way back."""
        self.pages.setCurrentIndex(index)
        (self.table.tree if index else self.all_button).setFocus()

    def showEvent(self, event: QShowEvent) -> None:
        """Estimate when the page is shown first: measuring takes two seconds of the machine."""
        super().showEvent(event)
        if not self._started:
            self._started = True
            self._survey()

    @task
    async def _survey(self) -> None:
        async for files in self._forecasts.ask(survey_catalogue):
            self._files = files
            self._show_files()

    def _create_scroll_area(self) -> QScrollArea:
        content = ScrolledColumn()
        column = QVBoxLayout(content)
        column.addWidget(self.note)
        self._card_column = put_inside(column, QVBoxLayout())
        column.addWidget(self.all_button)
        column.addStretch()
        area = with_properties(QScrollArea(), widgetResizable=True, frameShape=QFrame.Shape.NoFrame)
        area.setAccessibleName(tr("Models to download"))
        area.setWidget(content)
        area.viewport().setAutoFillBackground(False)
        content.setAutoFillBackground(False)
        return area

    def show_places(self, models: Sequence[FoundModel], loaded: Path | None) -> None:
        """Offer those of the catalogue that are on this computer for use, not for download."""
        known = ((each, each.installed.header) for each in models)
        pairs = ((each, known_by(header)) for each, header in known if header is not None)
        here = {found[1].file: each for each, found in pairs if found}
        places = {file: each.installed.path for file, each in here.items()}
        self._known = {file: each.forecast for file, each in here.items() if each.forecast}
        names = [each.installed.path.name for each in models if each.installed.error is None]
        drafts = frozenset(draft.id for name in names if (draft := find_draft(name)))
        self._show_here(replace(self._here, places=places, drafts=drafts, loaded=loaded))
        if self._files:
            self._show_files()

    def show_arriving(self, files: Collection[str]) -> None:
        """These files are being downloaded."""
        self._show_here(replace(self._here, arriving=files))

    def forget_loaded(self) -> None:
        """No model is loaded any more: any that is here can be used."""
        self._show_here(replace(self._here, loaded=None))

    def _show_here(self, here: FilesHere) -> None:
        self._here = here
        self.table.show_here(here)
        for card in self.cards:
            card.show_here(here)

    def _show_files(self) -> None:
        """Show the forecasts; a file on this computer has that of its own header."""
        files = tuple(
            replace(each, forecast=self._known.get(each.file.file, each.forecast))
            for each in self._files
        )
        self.table.show_files(files)
        picks = pick(files, self._forecasts.settings.memory_budget)
        note = tr("No model fits the memory budget.")
        if picks:
            note = tr("Most models come in several sizes: smaller is faster and less exact.")
            hosts = dict.fromkeys(each.file.host for each in picks)
            note = join_sentences((note, tr("They come from {host}.", host=join_list(list(hosts)))))
        self.note.setText(note)
        if [card.key for card in self.cards] == [each.key for each in picks]:
            for card, each in zip(self.cards, picks, strict=True):
                card.show_pick(each)
            return
        discard(*self.cards, *self._headings)
        self.cards, self._headings = [], []
        for each in picks:
            if not self.cards or each.standing is not self.cards[-1].key[0]:
                self._headings.append(text_label(tr(each.standing), "section"))
                self._card_column.addWidget(self._headings[-1])
            card = ModelCard(each, self._give)
            card.download_requested.connect(self._on_download)
            card.use_requested.connect(self.use_requested)
            card.show_here(self._here)
            self._card_column.addWidget(card)
            self.cards.append(card)

    @Slot(object, str, object)
    def _on_download(self, file: CatalogueFile, host: str, draft: KnownDraft | None) -> None:
        """Download a file from `host`."""
        spec = spec_for_known(file.model, file.file, host)
        self.download_requested.emit(spec, spec_for_draft(draft) if draft is not None else None)
