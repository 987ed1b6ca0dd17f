"""DeepSeek-R1's distilled models: how large, what they cost in memory, where they are.

Nothing is downloaded here: a source is opened in the browser after its address was shown.
"""

from __future__ import annotations

import psutil
from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.catalogue.models import KnownFile, KnownModel, catalogue
from deepseek_r1.catalogue.recommend import recommend
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.core.words import tr
from deepseek_r1.memory.plan import ProcessShare, plan
from r1desk.dialogs.link import ask_to_open
from r1desk.library.words import size_words

MIB = 1024 * 1024
ENTRY_ROLE = Qt.ItemDataRole.UserRole


class CataloguePage(QWidget):
    """A tree of models and their quantisations, each with its bill against the budget."""

    def __init__(self, settings: LoadSettings) -> None:
        super().__init__()
        self._settings = settings
        self.tree = self._build_tree()
        self.source = QComboBox(accessibleName=tr("Where from"))
        self.open_button = QPushButton(tr("Open in the browser…"))
        self.open_button.clicked.connect(self._on_open)
        self.detail = QLabel(wordWrap=True, textFormat=Qt.TextFormat.PlainText)
        self.detail.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        row = QHBoxLayout()
        row.addWidget(QLabel(tr("From:")))
        row.addWidget(self.source, stretch=1)
        row.addWidget(self.open_button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.tree, stretch=1)
        layout.addWidget(self.detail)
        layout.addLayout(row)
        self._fill()
        self._on_selection()

    def _build_tree(self) -> QTreeWidget:
        tree = QTreeWidget(accessibleName=tr("DeepSeek-R1 models"), rootIsDecorated=True)
        tree.setHeaderLabels([tr("Model"), tr("Download"), tr("Memory"), ""])
        tree.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        tree.itemSelectionChanged.connect(self._on_selection)
        return tree

    def _fill(self) -> None:
        memory_mib = psutil.virtual_memory().total / MIB
        best = recommend(memory_mib, self._settings.memory_budget, settings=self._settings)
        for model in catalogue().models:
            top = QTreeWidgetItem([model.name])
            self.tree.addTopLevelItem(top)
            for file in model.files:
                recommended = best is not None and best.file == file and best.model == model
                item = self._file_item(model, file, recommended=recommended)
                top.addChild(item)
                if recommended:
                    top.setExpanded(True)
                    self.tree.setCurrentItem(item)

    def _file_item(
        self, model: KnownModel, file: KnownFile, *, recommended: bool
    ) -> QTreeWidgetItem:
        bill = plan(model.header(file), self._settings, ProcessShare())
        fits = tr("fits the budget") if bill.fits else tr("over the budget")
        words = tr("recommended") if recommended else fits
        memory = f"{bill.total_mib:,.0f} MiB"
        item = QTreeWidgetItem([file.quantisation, size_words(file.size_bytes), memory, words])
        item.setData(0, ENTRY_ROLE, (model, file))
        return item

    def _chosen(self) -> tuple[KnownModel, KnownFile] | None:
        item = self.tree.currentItem()
        return item.data(0, ENTRY_ROLE) if item is not None else None

    @Slot()
    def _on_selection(self) -> None:
        chosen = self._chosen()
        self.open_button.setEnabled(chosen is not None)
        self.source.clear()
        if chosen is None:
            self.detail.setText(tr("Choose a size. Smaller files are faster and less exact."))
            return
        model, file = chosen
        for source in catalogue().sources(model, file):
            self.source.addItem(source.host, str(source.url))
        self.detail.setText(
            tr(
                "{file}. Licence {licence}, base model {base} under {base_licence}. "
                "After the download, open the file here.",
                file=file.file,
                licence=model.licence.name,
                base=model.base,
                base_licence=model.base_licence.name,
            )
        )

    @Slot()
    def _on_open(self) -> None:
        address = self.source.currentData()
        if address:
            ask_to_open(address, self, tr("Open this address in your browser?"))
