"""The dialog to choose a model: one of this computer, of the catalogue, or any other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QSize, Signal, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QDialogButtonBox, QPushButton, QTabWidget, QVBoxLayout, QWidget

from deepseek_r1.catalogue.installed import resolved
from deepseek_r1.core.i18n import tr
from r1desk.models.downloads import ON_ITS_WAY, Download
from r1desk.models.forecast_service import ForecastService
from r1desk.models.scan import find_models, free_models_bytes
from r1desk.models.widgets.catalogue_page import CataloguePage
from r1desk.models.widgets.download_list import DownloadArea
from r1desk.models.widgets.files_page import FilesPage
from r1desk.models.widgets.hub_page import HubPage
from r1desk.models.widgets.page_parts import open_model_dialog
from r1desk.platform.background_thread import ask_in_background
from r1desk.platform.tasks import Tasks, newest_task
from r1desk.theme import set_role
from r1desk.widgets.bounded_dialog import KeyDialog, size_within_screen
from r1desk.widgets.layouts import with_properties

SUITED = QSize(760, 560)


class ModelChooser(KeyDialog):
    """Lets the user pick a model."""

    chosen = Signal(object)  # the Path of the model

    def __init__(
        self,
        recent: Sequence[str],
        current: Path | None,
        forecasts: ForecastService,
        parent: QWidget,
        *,
        loaded: Path | None = None,
        give_budget: Callable[[int], object] = lambda _mib: None,
    ) -> None:
        """`current` is selected at first; `loaded` needs no second load.

        `give_budget` sets another memory budget, in MiB.
        """
        super().__init__(parent)
        self.setWindowTitle(tr("Choose a model"))
        self._loaded = loaded
        self._recent, self._forecasts = [Path(path) for path in recent], forecasts
        self.tasks = Tasks(self)
        self.catalogue = CataloguePage(forecasts, give_budget)
        self.catalogue.use_requested.connect(self._choose)
        self.hub = HubPage(forecasts.settings, give_budget)
        self.files = FilesPage()
        self.files.show_present(current and resolved(current), loaded and resolved(loaded))
        self.files.tree.itemActivated.connect(self._on_use)
        self.files.tree.itemSelectionChanged.connect(self._on_selection)
        tabs = with_properties(QTabWidget(), accessibleName=self.windowTitle())
        tabs.addTab(self.files, tr("On this computer"))
        tabs.addTab(self.catalogue, tr("Models to download"))
        tabs.addTab(self.hub, tr("Any model"))
        self.tabs = tabs
        self.buttons = self._build_buttons()
        tabs.currentChanged.connect(self._on_page)
        self.downloads = DownloadArea()
        layout = QVBoxLayout(self)
        layout.addWidget(tabs)
        layout.addWidget(self.downloads)
        layout.addWidget(self.buttons)
        self.files.tree.setFocus()
        self.look_again()

    def look_again(self) -> None:
        """Look for the models and the free space anew; what was shown stays until then."""
        self._find_models()
        self._find_space()

    @newest_task
    async def _find_models(self) -> None:
        async for models in self._forecasts.ask(partial(find_models, self._recent)):
            self.files.show_models(models)
            self.catalogue.show_places(models, self._loaded)
            self._on_selection()

    @newest_task
    async def _find_space(self) -> None:
        free = await ask_in_background(free_models_bytes)
        for page in (self.catalogue.table, self.hub, self.files):
            page.show_free_space(free)

    @Slot()
    def forget_loaded(self) -> None:
        """No model is loaded any more: any can be used."""
        self._loaded = None
        self.catalogue.forget_loaded()
        self._on_selection()

    def show_downloads(self, downloads: Sequence[Download]) -> None:
        """Show these, and what is on its way on the pages that offer it."""
        self.downloads.show_downloads(downloads)
        arriving = {each.spec.file for each in downloads if each.state in ON_ITS_WAY}
        for page in (self.catalogue, self.hub):
            page.show_arriving(arriving)

    def showEvent(self, event: QShowEvent) -> None:
        """Take the size that suits the pages, within the screen."""
        self.resize(size_within_screen(self, SUITED))
        super().showEvent(event)

    def _build_buttons(self) -> QDialogButtonBox:
        buttons = QDialogButtonBox()
        self.file_button = QPushButton(tr("Open a file…"))
        self.file_button.clicked.connect(self._on_file)
        self.use_button = QPushButton(tr("Use this model"))
        self.use_button.setDefault(True)
        set_role(self.use_button, "primary")
        self.use_button.setEnabled(False)
        self.use_button.clicked.connect(self._on_use)
        buttons.addButton(self.file_button, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.addButton(self.use_button, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.addButton(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        return buttons

    @Slot(int)
    def _on_page(self, index: int) -> None:
        """The catalogue has buttons of its own."""
        for button in (self.use_button, self.file_button):
            button.setVisible(index == 0)

    def _selected_path(self) -> Path | None:
        found = self.files.tree.selected
        return found.installed.path if found is not None and found.forecast is not None else None

    @Slot()
    def _on_selection(self) -> None:
        path = self._selected_path()
        self.use_button.setEnabled(path is not None and path != self._loaded)

    @Slot()
    def _on_use(self) -> None:
        path = self._selected_path()
        if path is not None:
            self._choose(path)

    @Slot(object)
    def _choose(self, path: Path) -> None:
        self.chosen.emit(path)
        self.accept()

    @Slot()
    def _on_file(self) -> None:
        open_model_dialog(self, self._choose)
