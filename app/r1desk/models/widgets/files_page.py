"""Lists the models on this computer with size, state, fit and owner; they are deleted here."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QFont, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QHBoxLayout,
    QMessageBox,
    QPushButton,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core.i18n import tr, trn
from deepseek_r1.memory.forecast import format_fit
from r1desk.models.formatting import breakable_address, format_mib, format_parameters, format_size
from r1desk.models.scan import FoundModel, deletion_note, owner_text, why_kept
from r1desk.models.widgets.page_parts import VALUE_ROLE, AddressLine, ModelTree
from r1desk.platform.file_manager import show_in_folder
from r1desk.widgets.bounded_dialog import ask
from r1desk.widgets.layouts import filled, put_inside
from r1desk.widgets.notice_bar import NoticeBar
from r1desk.widgets.text_label import push_button, text_label


class FilesPage(QWidget):
    """The list, what can be done with the selected file, and the partial downloads below."""

    trash_requested = Signal(object)  # the FoundModel, after the user confirmed it
    delete_requested = Signal(object)  # the FoundModel, after the user confirmed it

    def __init__(self) -> None:
        super().__init__()
        self._chosen: Path | None = None
        self._loaded: Path | None = None
        self._models: tuple[FoundModel, ...] = ()
        self._free_bytes: int | None = None
        self.total = text_label(tr("Looking for models…"), "dim")
        self.notices = NoticeBar()
        headings = [tr("Model"), tr("On disk"), tr("Fit and speed"), tr("Belongs to")]
        self.tree = ModelTree(tr("Model files"), headings, number_columns=(1,))
        self.tree.itemSelectionChanged.connect(self._on_selection)
        self.path = AddressLine()
        self.note = text_label("", "dim")
        self.show_button = push_button(tr("Show in folder"), self._on_show)
        self.unload_button = QPushButton(tr("Unload"), autoDefault=False)
        self.delete_button = push_button(tr("Delete…"), self._on_delete)
        self._arrange()
        QShortcut(
            QKeySequence(QKeySequence.StandardKey.Delete),
            self.tree,
            self._on_delete,
            context=Qt.ShortcutContext.WidgetShortcut,
        )
        self._on_selection()

    def _arrange(self) -> None:
        parts = (self.total, self.notices, self.tree, self.path, self.note)
        column = filled(QVBoxLayout(self), *parts, margins=(9, 9, 9, 9))
        column.setStretch(parts.index(self.tree), 1)
        buttons = (self.show_button, self.unload_button, self.delete_button)
        filled(put_inside(column, QHBoxLayout()), *buttons).addStretch()

    # ---- what is shown ----------------------------------------------------------------------

    def show_models(self, models: Sequence[FoundModel]) -> None:
        """Show these files; the selected one stays selected."""
        wanted = self.tree.selected.place if self.tree.selected is not None else self._chosen
        self._models = tuple(models)
        self.tree.clear()
        for model in self._models:
            item = QTreeWidgetItem(self.tree)
            self._show_item(item, model)
            if model.place == wanted:
                self.tree.setCurrentItem(item)
        self.tree.select_first()
        self._show_total()
        self._on_selection()

    def show_present(self, chosen: Path | None, loaded: Path | None) -> None:
        """Show which model is chosen and which is loaded, by their paths without links."""
        self._chosen, self._loaded = chosen, loaded
        for item in self.tree.tops:
            self._show_item(item, item.data(0, VALUE_ROLE))
        self._on_selection()

    @Slot(object)
    def show_free_space(self, free_bytes: int | None) -> None:
        """Show how much is free on the drive of the models folder."""
        self._free_bytes = free_bytes
        self._show_total()

    def _show_item(self, item: QTreeWidgetItem, found: FoundModel) -> None:
        model, size = found.installed, format_size(found.disk_bytes)
        texts = (model.name, size, self._state_text(found), owner_text(model))
        self.tree.fill(item, found, texts)
        item.setToolTip(0, f"{model.name}\n{model.path}")
        font = item.font(0)
        loaded = found.place == self._loaded
        font.setWeight(QFont.Weight.DemiBold if loaded else QFont.Weight.Normal)
        item.setFont(0, font)

    def _show_total(self) -> None:
        if not self._models and self._free_bytes is None:
            return
        total = format_size(sum(each.disk_bytes for each in self._models))
        text = trn("{size} in {n} model", "{size} in {n} models", len(self._models), size=total)
        if self._free_bytes is not None:
            free = tr(
                "{size} free on the drive of the models folder", size=format_size(self._free_bytes)
            )
            text = f"{text} · {free}"
        text = f"{text} · {tr('A file can also be dropped onto the window.')}"
        self.total.setText(text)

    # ---- the selected file ------------------------------------------------------------------

    def _state_text(self, found: FoundModel) -> str:
        if found.forecast is None:
            return tr("cannot be used")
        state = tr("chosen, not loaded") if found.place == self._chosen else ""
        state = tr("loaded") if found.place == self._loaded else state
        return " · ".join(text for text in (state, format_fit(found.forecast)) if text)

    @Slot()
    def _on_selection(self) -> None:
        found = self.tree.selected
        self.show_button.setEnabled(found is not None)
        if found is None:
            self.path.show_address("")
            self.note.setText("")
            self.unload_button.setVisible(False)
            self.delete_button.setEnabled(False)
            return
        model, loaded = found.installed, found.place == self._loaded
        kept = why_kept(model, loaded=loaded)
        reason = model.error.text() if model.error is not None else _facts_text(found)
        self.path.show_address(str(model.path))
        self.note.setText("\n".join(text for text in (reason, kept) if text))
        self.note.setVisible(bool(self.note.text()))
        self.unload_button.setVisible(loaded)
        self.delete_button.setEnabled(not kept)

    @Slot()
    def _on_show(self) -> None:
        if (found := self.tree.selected) is not None:
            show_in_folder(found.installed.path)

    @Slot()
    def _on_delete(self) -> None:
        found = self.tree.selected
        if found is None or not self.delete_button.isEnabled():
            return
        model = found.installed
        size = format_size(found.disk_bytes)
        lines = (
            breakable_address(str(model.path)),
            deletion_note(model),
            tr("The trash keeps the file, and its space, until the trash is emptied."),
        )
        text = tr("Delete {name} ({size})?", name=model.name, size=size)
        roles, trash = QMessageBox.ButtonRole, partial(self.trash_requested.emit, found)
        delete = partial(self.delete_requested.emit, found)
        ask(
            self,
            text,
            "\n\n".join(lines),
            (tr("Move to the trash"), roles.AcceptRole, trash),
            (tr("Delete for good"), roles.DestructiveRole, delete),
        )


def _facts_text(found: FoundModel) -> str:
    header, forecast = found.installed.header, found.forecast
    if header is None or forecast is None:
        return ""
    facts = [
        format_parameters(header.parameters),  # the name may promise another number
        header.quantisation,
        tr("{n} of memory", n=format_mib(forecast.bill.total_mib)),
        tr("context up to {tokens:,} tokens", tokens=header.context_trained),
    ]
    return " · ".join(facts)
