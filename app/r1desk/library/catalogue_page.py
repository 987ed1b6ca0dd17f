"""DeepSeek-R1's distilled models: how large, what they cost in memory, where they come from.

Nothing is fetched before its button is pressed; its address, size and bill are shown before that.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QFont
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMessageBox,
    QPushButton,
    QScrollArea,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1 import hardware
from deepseek_r1.catalogue.models import KnownFile, KnownModel, catalogue
from deepseek_r1.catalogue.orders import order_known, usual_source
from deepseek_r1.catalogue.recommend import recommend
from deepseek_r1.core.events import Bill
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.core.words import tr
from deepseek_r1.memory.plan import ProcessShare, plan
from r1desk.dialogs.link import ask_to_open
from r1desk.downloads import Download
from r1desk.layouts import put_inside
from r1desk.library.address_label import AddressLabel
from r1desk.library.download_list import DownloadList
from r1desk.library.space import FreeSpace
from r1desk.library.survey import WINDOW_AT_MOST_MIB
from r1desk.library.words import bill_words, download_words, size_words
from r1desk.theme import icon, set_role

ENTRY_ROLE = Qt.ItemDataRole.UserRole
NUMBERS = (1, 2)  # columns
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class CataloguePage(QWidget):
    """A tree of models and their quantisations, each with its bill, and the downloads below."""

    download_requested = Signal(object)  # Order

    def __init__(self, settings: LoadSettings) -> None:
        super().__init__()
        self._settings = settings
        self._share = ProcessShare(window_mib=WINDOW_AT_MOST_MIB)
        self._free_bytes: int | None = None
        self.tree = self._build_tree()
        self.source = QComboBox(accessibleName=tr("Where from"))
        self.source.currentIndexChanged.connect(self._on_source)
        self.open_button = QPushButton(tr("Open in the browser…"), autoDefault=False)
        self.open_button.clicked.connect(self._on_open)
        self.download_button = QPushButton(tr("Download now"), autoDefault=False)
        self.download_button.clicked.connect(self._on_download)
        self.detail, self.address = self._plain_label(), AddressLabel()
        self.downloads = DownloadList()
        self._rows = self._scrolling(self.downloads)
        set_role(self.download_button, "primary")
        set_role(self.address, "dim")
        hint = self._plain_label()
        hint.setText(tr("Each model comes in several sizes: smaller is faster and less exact."))
        layout = QVBoxLayout(self)
        layout.addWidget(hint)
        layout.addWidget(self.tree, stretch=1)
        layout.addWidget(self.detail)
        row = put_inside(layout, QHBoxLayout())
        row.addWidget(QLabel(tr("From:")))
        row.addWidget(self.source, stretch=1)
        row.addWidget(self.open_button)
        row.addWidget(self.download_button)
        layout.addWidget(self.address)
        layout.addWidget(self._rows)
        self._fill()
        self._on_selection()
        self._space = FreeSpace()  # no parent: its answer may come after the page has gone
        self._space.found.connect(self._on_space)
        self._space.start()

    def _scrolling(self, rows: DownloadList) -> QScrollArea:
        area = QScrollArea(widgetResizable=True, frameShape=QFrame.Shape.NoFrame)
        area.setWidget(rows)
        area.setMaximumHeight(self.fontMetrics().height() * 10)
        area.hide()
        return area

    def show_downloads(self, downloads: Sequence[Download]) -> None:
        """Show how far they are, below the models."""
        self.downloads.show_downloads(downloads)
        self._rows.setVisible(bool(downloads))

    def _plain_label(self) -> QLabel:
        label = QLabel(wordWrap=True, textFormat=Qt.TextFormat.PlainText)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        return label

    def _build_tree(self) -> QTreeWidget:
        tree = QTreeWidget(accessibleName=tr("DeepSeek-R1 models"), rootIsDecorated=True)
        tree.setHeaderLabels([tr("Model"), tr("Download"), tr("Memory"), ""])
        for column in NUMBERS:
            tree.headerItem().setTextAlignment(column, RIGHT)
        tree.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        tree.itemSelectionChanged.connect(self._on_selection)
        return tree

    def _fill(self) -> None:
        memory_mib = hardware.machine_memory_mib()
        budget = self._settings.memory_budget
        best = recommend(memory_mib, budget, settings=self._settings, share=self._share)
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
        bill = self._bill(model, file)
        fits = tr("fits the budget") if bill.fits else tr("over the budget")
        words = tr("recommended") if recommended else fits
        memory = f"{bill.total_mib:,.0f} MiB"
        item = QTreeWidgetItem([file.quantisation, size_words(file.size_bytes), memory, words])
        item.setData(0, ENTRY_ROLE, (model, file))
        item.setIcon(3, icon("check", "success") if bill.fits else icon("warning", "warning"))
        for column in NUMBERS:
            item.setTextAlignment(column, RIGHT)
        if recommended:
            font = QFont(self.font())
            font.setBold(True)
            item.setFont(3, font)
        return item

    def _bill(self, model: KnownModel, file: KnownFile) -> Bill:
        return plan(model.header(file), self._settings, self._share)

    def _chosen(self) -> tuple[KnownModel, KnownFile] | None:
        item = self.tree.currentItem()
        return item.data(0, ENTRY_ROLE) if item is not None else None

    @Slot()
    def _on_selection(self) -> None:
        chosen = self._chosen()
        self.open_button.setEnabled(chosen is not None)
        self.download_button.setEnabled(chosen is not None)
        self.source.clear()
        if chosen is not None:
            for source in catalogue().sources(*chosen):
                self.source.addItem(source.host, str(source.url))
            self.source.setCurrentText(usual_source(*chosen))
        self._describe()

    @Slot(object)
    def _on_space(self, free_bytes: int | None) -> None:
        self._free_bytes = free_bytes
        self._describe()

    def _describe(self) -> None:
        chosen = self._chosen()
        if chosen is None:
            self.detail.setText(tr("Open a model with the arrow beside it and choose a size."))
            return
        model, file = chosen
        self.detail.setText(
            "\n".join(
                (
                    f"{file.file} · {download_words(file.size_bytes, self._free_bytes)}",
                    bill_words(self._bill(model, file)),
                    tr(
                        "Licence {licence}, base model {base} under {base_licence}.",
                        licence=model.licence.name,
                        base=model.base,
                        base_licence=model.base_licence.name,
                    ),
                )
            )
        )

    @Slot()
    def _on_source(self) -> None:
        self.address.show_address(self.source.currentData() or "")

    @Slot()
    def _on_open(self) -> None:
        address = self.source.currentData()
        if address:
            ask_to_open(address, self, tr("Open this address in your browser?"))

    @Slot()
    def _on_download(self) -> None:
        chosen = self._chosen()
        if chosen is None:
            return
        if chosen[1].sha256 is None:
            self._ask_unverified(*chosen)
        else:
            self.download_requested.emit(order_known(*chosen, self.source.currentText()))

    def _ask_unverified(self, model: KnownModel, file: KnownFile) -> None:
        """A file that nobody can check is fetched only if the user insists."""
        box = QMessageBox(self)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setIcon(QMessageBox.Icon.Warning)
        box.setText(tr("No checksum is known for {file}.", file=file.file))
        box.setInformativeText(
            tr("Without one nobody can tell whether what arrives is the right file.")
        )
        go = box.addButton(tr("Download all the same"), QMessageBox.ButtonRole.DestructiveRole)
        box.setDefaultButton(box.addButton(QMessageBox.StandardButton.Cancel))
        order = order_known(model, file, self.source.currentText(), accept_unverified=True)
        go.clicked.connect(lambda: self.download_requested.emit(order))
        box.open()
