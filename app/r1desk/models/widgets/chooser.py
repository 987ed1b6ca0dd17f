"""The dialog to choose a model: an installed one, a file, or one of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import QFont, QFontMetrics, QPainter, QPalette, QShowEvent
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
    QDialogButtonBox,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.catalogue.installed import Origin
from deepseek_r1.core.i18n import tr
from r1desk.models.forecast import format_fit
from r1desk.models.forecast_service import ForecastService
from r1desk.models.formatting import format_parameters, format_size
from r1desk.models.scan import FoundModel, find_models, free_models_bytes, owner_text
from r1desk.models.widgets.catalogue_page import CataloguePage
from r1desk.models.widgets.download_list import DownloadArea
from r1desk.models.widgets.files_page import FilesPage
from r1desk.models.widgets.hub_page import HubPage
from r1desk.models.widgets.page_parts import open_model_dialog
from r1desk.platform.background_thread import BackgroundAnswer, ask_in_background
from r1desk.theme import set_role
from r1desk.widgets.bounded_dialog import size_within_screen

PATH_ROLE = Qt.ItemDataRole.UserRole
SUITED = QSize(760, 560)
PAD_PX = 10
GAP_PX = 3
_WRAPPED = Qt.AlignmentFlag.AlignLeft | Qt.TextFlag.TextWordWrap
Index = QModelIndex | QPersistentModelIndex


class ModelChooser(QDialog):
    """Lets the user pick a model."""

    chosen = Signal(object)  # the Path of the model

    def __init__(
        self,
        recent: Sequence[str],
        current: Path | None,
        forecasts: ForecastService,
        parent: QWidget,
        loaded: Path | None = None,
    ) -> None:
        """`current` is selected at first; `loaded` needs no second load."""
        super().__init__(parent)
        self.setWindowTitle(tr("Choose a model"))
        self._current, self._loaded = current, loaded
        self._recent, self._forecasts = [Path(path) for path in recent], forecasts
        self._looking: BackgroundAnswer | None = None
        self.list = self._build_list()
        self.catalogue = CataloguePage(forecasts)
        self.catalogue.use_requested.connect(self._choose)
        self.hub = HubPage(forecasts.settings)
        self.files = FilesPage()
        tabs = QTabWidget()
        tabs.addTab(self._installed_page(), tr("On this computer"))
        tabs.addTab(self.catalogue, tr("DeepSeek-R1 models"))
        tabs.addTab(self.hub, tr("Any model"))
        tabs.addTab(self.files, tr("Files on the disk"))
        self.tabs = tabs
        self.buttons = self._build_buttons()
        tabs.currentChanged.connect(self._on_page)
        self.downloads = DownloadArea()
        layout = QVBoxLayout(self)
        layout.addWidget(tabs)
        layout.addWidget(self.downloads)
        layout.addWidget(self.buttons)
        self.list.setFocus()
        self.look_again()

    def look_again(self) -> None:
        """Look for the models and the free space anew; what was shown stays until then."""
        if self._looking is not None:
            self._looking.abandon()
        self._looking = self._forecasts.ask(partial(find_models, self._recent), self._on_found)
        free = ask_in_background(free_models_bytes)
        for page in (self.catalogue.table, self.hub, self.files):
            free.done.connect(page.show_free_space)

    def showEvent(self, event: QShowEvent) -> None:
        """Take the size that suits the pages, within the screen."""
        self.resize(size_within_screen(self, SUITED))
        super().showEvent(event)

    def _build_list(self) -> QListWidget:
        models = QListWidget()
        models.setAccessibleName(tr("Models on this computer"))
        models.setItemDelegate(ModelRowDelegate(models))
        models.itemActivated.connect(self._on_use)
        models.itemSelectionChanged.connect(self._on_selection)
        return models

    def _installed_page(self) -> QWidget:
        page = QWidget()
        layout = QVBoxLayout(page)
        self._note = QLabel(tr("Looking for models…"), wordWrap=True)
        layout.addWidget(self._note)
        layout.addWidget(self.list)
        return page

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

    @Slot(tuple)
    def _on_found(self, models: tuple[FoundModel, ...]) -> None:
        self._note.setText(
            tr("A file can also be dropped onto the window.")
            if models
            else tr("No model was found. Open a GGUF file, or fetch one of DeepSeek-R1's models.")
        )
        selected = self._selected_path() or self._current
        self.list.clear()
        self.files.show_models(models)
        self.catalogue.show_places(models, self._loaded)
        for model in models:
            item = self._item(model)
            self.list.addItem(item)
            if model.installed.path == selected:
                self.list.setCurrentItem(item)

    @Slot(int)
    def _on_page(self, index: int) -> None:
        """The catalogue has buttons of its own."""
        for button in (self.use_button, self.file_button):
            button.setVisible(index == 0)

    def _item(self, found: FoundModel) -> QListWidgetItem:
        model = found.installed
        item = QListWidgetItem(_describe(found))
        item.setData(PATH_ROLE, str(model.path))
        item.setToolTip(str(model.path))
        if model.error is not None:
            item.setFlags(Qt.ItemFlag.NoItemFlags)
        if self._current is not None and model.path == self._current:
            font = item.font()
            font.setBold(True)
            item.setFont(font)
        return item

    def _selected_path(self) -> Path | None:
        items = self.list.selectedItems()
        return Path(items[0].data(PATH_ROLE)) if items else None

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


def _describe(found: FoundModel) -> str:
    """Two lines: the name, and the facts to choose by."""
    model, forecast = found.installed, found.forecast
    if model.header is None or forecast is None:
        reason = model.error.text() if model.error is not None else ""
        return f"{model.name}\n{reason}"
    facts = [
        format_size(model.header.file_bytes),
        format_parameters(model.header.parameters),  # the name may promise another number
        model.header.quantisation,
        format_fit(forecast),
        tr("{mib:,.0f} MiB of memory", mib=forecast.bill.total_mib),
        tr("context up to {tokens:,} tokens", tokens=model.header.context_trained),
    ]
    if model.origin == Origin.STARTER:
        facts.append(tr("came with the installation"))
    if model.owner is not None:
        facts.append(tr("used from {owner}", owner=owner_text(model)))
    return f"{model.name}\n{' · '.join(facts)}"


class ModelRowDelegate(QStyledItemDelegate):
    """Draws an item's first line as a title and the rest below it."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        self.initStyleOption(option, index)
        title, details = _lines(index)
        option.text = ""
        style = QApplication.style()
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, option, painter, option.widget)
        box = option.rect.adjusted(PAD_PX, PAD_PX, -PAD_PX, -PAD_PX)
        usable = bool(option.state & QStyle.StateFlag.State_Enabled)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        role = QPalette.ColorRole.HighlightedText if selected else QPalette.ColorRole.Text
        dim = role if selected or not usable else QPalette.ColorRole.PlaceholderText
        group = QPalette.ColorGroup.Active if usable else QPalette.ColorGroup.Disabled
        painter.save()
        painter.setFont(option.font)
        painter.setPen(option.palette.color(group, role))
        height = QFontMetrics(option.font).height()
        painter.drawText(QRect(box.left(), box.top(), box.width(), height), _WRAPPED, title)
        painter.setFont(_smaller(option.font))
        painter.setPen(option.palette.color(group, dim))
        painter.drawText(box.adjusted(0, height + GAP_PX, 0, 0), _WRAPPED, details)
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        self.initStyleOption(option, index)
        width = max(option.widget.viewport().width() - 2 * PAD_PX, 100)
        _, details = _lines(index)
        below = QFontMetrics(_smaller(option.font)).boundingRect(
            QRect(0, 0, width, 10_000), _WRAPPED, details
        )
        height = QFontMetrics(option.font).height() + GAP_PX + below.height()
        return QSize(width, height + 2 * PAD_PX)


def _lines(index: Index) -> tuple[str, str]:
    title, _, details = str(index.data(Qt.ItemDataRole.DisplayRole)).partition("\n")
    return title, details


def _smaller(font: QFont) -> QFont:
    small = QFont(font)
    small.setBold(False)
    small.setPointSizeF(font.pointSizeF() * 0.92)
    return small
