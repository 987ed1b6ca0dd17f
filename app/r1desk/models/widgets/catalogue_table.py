"""A tree of all files of the catalogue, with the bill and the source of the selected one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QTreeWidgetItem, QVBoxLayout, QWidget

from deepseek_r1.catalogue.known_models import KnownModel, Thinking, family_of
from deepseek_r1.catalogue.ladder import ladder_text
from deepseek_r1.core.i18n import join_sentences, tr
from deepseek_r1.memory.forecast import Fit
from r1desk.chat.presenters.link_dialog import ask_to_open
from r1desk.models.catalogue_picks import CatalogueFile
from r1desk.models.formatting import format_bill_summary, format_download
from r1desk.models.widgets.model_card import DraftCheckBox, FilesHere, facts_of, on_this_computer
from r1desk.models.widgets.page_parts import (
    VALUE_ROLE,
    AddressLine,
    GiveButton,
    ModelTree,
    children_of,
)
from r1desk.widgets.layouts import filled, put_inside, with_properties
from r1desk.widgets.text_label import push_button, selectable_label


class CatalogueTable(QWidget):
    """Nothing is downloaded before the button is pressed, below the file's address and bill."""

    download_requested = Signal(object, str, object)  # CatalogueFile, the host, KnownDraft or None
    use_requested = Signal(object)  # the Path of the file, where it is on this computer

    def __init__(self, give: Callable[[int], object]) -> None:
        super().__init__()
        self._free_bytes: int | None = None
        self._here = FilesHere()
        headings = [tr("Model"), tr("Download"), tr("Memory"), tr("Fit and speed")]
        self.tree = ModelTree(tr("All files"), headings, number_columns=(1, 2))
        self.tree.setRootIsDecorated(True)
        self.tree.itemSelectionChanged.connect(self._on_selection)
        self.source = with_properties(QComboBox(), accessibleName=tr("Download from"))
        self.source.currentIndexChanged.connect(self._on_source)
        self.open_button = push_button(tr("Open in the browser…"), self._on_open)
        self.download_button = push_button(tr("Download now"), self._on_download)
        self.give = GiveButton(give, self._on_download)
        self.draft = DraftCheckBox()
        self.detail, self.address = selectable_label(), AddressLine()
        layout = filled(QVBoxLayout(self), self.tree, self.detail, self.draft)
        layout.setStretch(0, 1)
        label = QLabel(tr("From:"))
        label.setBuddy(self.source)
        buttons = (self.open_button, self.give, self.download_button)
        row = filled(put_inside(layout, QHBoxLayout()), label, self.source, *buttons)
        row.setStretch(1, 1)
        layout.addWidget(self.address)
        self._on_selection()

    def show_files(self, files: Sequence[CatalogueFile]) -> None:
        """Show these files; the second call with the same files updates their estimates."""
        items = self._items() or self._add_items(files)
        for item, file in zip(items, files, strict=True):
            size_bytes, name = file.file.size_bytes, file.file.quantisation
            self.tree.fill_offer(item, file, name, size_bytes, file.forecast)
        for family in self.tree.tops:
            self._show_best(family)
        self._describe()

    def _show_best(self, family: QTreeWidgetItem) -> None:
        """Show size, memory, fit and speed of the largest file that fits, else of the smallest."""
        rows = children_of(family)
        best = rows[0]
        for row in rows:
            if row.data(0, VALUE_ROLE).forecast.fit is Fit.IN_MEMORY:
                best = row
        texts = [best.text(column) for column in range(1, self.tree.columnCount())]
        self.tree.fill(family, None, [family.text(0), *texts])

    @staticmethod
    def _ladder_of(family: QTreeWidgetItem | None) -> str:
        rows = children_of(family) if family is not None else ()
        return ladder_text([row.data(0, VALUE_ROLE).rung for row in rows])

    def _items(self) -> list[QTreeWidgetItem]:
        return [row for family in self.tree.tops for row in children_of(family)]

    def _add_items(self, files: Sequence[CatalogueFile]) -> list[QTreeWidgetItem]:
        tops: dict[str, QTreeWidgetItem] = {}
        items = []
        for file in files:
            if file.model.id not in tops:
                tops[file.model.id] = QTreeWidgetItem(self.tree, [file.model.name])
            items.append(QTreeWidgetItem(tops[file.model.id]))
        return items

    @Slot(object)
    def show_free_space(self, free_bytes: int | None) -> None:
        """Show how much is free on the drive of the models."""
        self._free_bytes = free_bytes
        self._describe()

    def show_here(self, here: FilesHere) -> None:
        """Offer files that are on this computer for use."""
        self._here = here
        self._describe()

    @Slot()
    def _on_selection(self) -> None:
        file = self.tree.selected
        self.open_button.setEnabled(file is not None)
        self.source.clear()
        if file is not None:
            for host, url in file.model.sources(file.file).items():
                self.source.addItem(host, url)
            self.source.setCurrentText(file.host)
        self._describe()

    def _describe(self) -> None:
        file, place = self.tree.selected, self._place
        arriving = file is not None and file.file.file in self._here.arriving
        download = tr("Downloading…") if arriving else tr("Download now")
        self.download_button.setText(tr("Use this model") if place else download)
        free = file is not None and not arriving and (place is None or place != self._here.loaded)
        for button in (self.download_button, self.give):
            button.setEnabled(free)
        self.give.offer(file.forecast if file is not None else None, here=place is not None)
        here = file is not None and file.model.draft in self._here.drafts
        self.draft.offer(file if place is None else None, here=here)
        if file is None:
            text = tr("Open a model with the arrow beside it and choose a size.")
            ladder = self._ladder_of(self.tree.currentItem())
            self.detail.setText("\n".join(line for line in (ladder, text) if line))
            return
        lines = (
            on_this_computer(place) if place else "",
            f"{file.file.file} · {format_download(file.file.size_bytes, self._free_bytes)}",
            format_bill_summary(file.forecast.bill),
            file.rung.text,
            file.model.purpose_text,
            facts_of(file.model),
            join_sentences(_of_family(file.model)),
        )
        self.detail.setText("\n".join(line for line in lines if line))

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
        if (place := self._place) is not None:
            self.use_requested.emit(place)
        elif (file := self.tree.selected) is not None:
            self.download_requested.emit(file, self.source.currentText(), self.draft.wanted)

    @property
    def _place(self) -> Path | None:
        """Where the selected file is, if it is on this computer."""
        file = self.tree.selected
        return self._here.places.get(file.file.file) if file is not None else None


def _of_family(model: KnownModel) -> Iterator[str]:
    """What there is to know of a model's base, thinking and sampling."""
    family, base = family_of(model), model.base_licence
    if base is not None:
        text = tr("Base model {base} under {licence}.", base=model.base, licence=base.name)
        yield text
    if family.thinking is Thinking.NEVER:
        yield tr("It answers without thinking.")
    else:
        yield tr("It thinks before it answers; a thinking budget limits that or turns it off.")
    if family.sampling:
        values = [f"{name} {value:g}" for name, value in family.sampling.items()]
        yield tr("Its makers recommend: {values}.", values=", ".join(values))
