"""Choosing a model: one that is here, a file, or one of DeepSeek-R1's own to fetch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.catalogue.installed import InstalledModel, Origin
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.core.words import tr
from r1desk.library.catalogue_page import CataloguePage
from r1desk.library.file_dialog import ask_for_model
from r1desk.library.found import ModelSearch
from r1desk.library.model_rows import ModelRows
from r1desk.library.words import size_words
from r1desk.theme import set_role

PATH_ROLE = Qt.ItemDataRole.UserRole


class ModelChooser(QDialog):
    """Emits the path of the model that the user picked."""

    chosen = Signal(object)  # Path

    def __init__(
        self,
        recent: Sequence[str],
        current: Path | None,
        settings: LoadSettings,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Choose a model"))
        self.resize(760, 560)
        self._current = current
        self.list = self._build_list()
        self.catalogue = CataloguePage(settings)
        tabs = QTabWidget()
        tabs.addTab(self._here_page(), tr("On this computer"))
        tabs.addTab(self.catalogue, tr("DeepSeek-R1 models"))
        self.tabs = tabs
        self.buttons = self._build_buttons()
        tabs.currentChanged.connect(self._on_page)
        layout = QVBoxLayout(self)
        layout.addWidget(tabs)
        layout.addWidget(self.buttons)
        self.list.setFocus()
        self._search = ModelSearch()  # no parent: its answer may come after the dialog has gone
        self._search.found.connect(self._on_found)
        self._search.start([Path(path) for path in recent])

    def _build_list(self) -> QListWidget:
        models = QListWidget()
        models.setAccessibleName(tr("Models on this computer"))
        models.setItemDelegate(ModelRows(models))
        models.itemActivated.connect(self._on_use)
        models.itemSelectionChanged.connect(self._on_selection)
        return models

    def _here_page(self) -> QWidget:
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
    def _on_found(self, models: tuple[InstalledModel, ...]) -> None:
        self._note.setText(
            tr("A file can also be dropped onto the window.")
            if models
            else tr("No model was found. Open a GGUF file, or fetch one of DeepSeek-R1's models.")
        )
        for model in models:
            item = self._item(model)
            self.list.addItem(item)
            if model.path == self._current:
                self.list.setCurrentItem(item)

    @Slot(int)
    def _on_page(self, index: int) -> None:
        """The catalogue has buttons of its own."""
        for button in (self.use_button, self.file_button):
            button.setVisible(index == 0)

    def _item(self, model: InstalledModel) -> QListWidgetItem:
        item = QListWidgetItem(_describe(model))
        item.setData(PATH_ROLE, str(model.path))
        item.setToolTip(str(model.path))
        if model.error is not None:
            item.setFlags(Qt.ItemFlag.NoItemFlags)
        if self._current is not None and model.path == self._current:
            font = item.font()
            font.setBold(True)
            item.setFont(font)
        return item

    @Slot()
    def _on_selection(self) -> None:
        self.use_button.setEnabled(bool(self.list.selectedItems()))

    @Slot()
    def _on_use(self) -> None:
        items = self.list.selectedItems()
        if items:
            self.chosen.emit(Path(items[0].data(PATH_ROLE)))
            self.accept()

    @Slot()
    def _on_file(self) -> None:
        dialog = ask_for_model(self)
        dialog.fileSelected.connect(self._on_file_selected)
        dialog.open()

    @Slot(str)
    def _on_file_selected(self, path: str) -> None:
        self.chosen.emit(Path(path))
        self.accept()


def _describe(model: InstalledModel) -> str:
    """Two lines: the name, and what is worth knowing before choosing."""
    if model.header is None:
        reason = model.error.text() if model.error is not None else ""
        return f"{model.name}\n{reason}"
    facts = [
        size_words(model.header.file_bytes),
        model.header.quantisation,
        tr("context up to {tokens:,} tokens", tokens=model.header.context_trained),
    ]
    if model.origin == Origin.STARTER:
        facts.append(tr("came with the installation"))
    return f"{model.name}\n{' · '.join(facts)}"
