"""Shows all about the selected file, with a button for each thing that can be done.

Nothing is downloaded before its button is pressed; address, size and bill are shown before that.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QMessageBox,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.catalogue.download_spec import DownloadSpec
from deepseek_r1.catalogue.model_file import ModelFile
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.units import format_size
from r1desk.models.file_texts import Present, breakable_address, deletion_note, details, why_kept
from r1desk.models.widgets.model_box import FileSummary
from r1desk.platform.desktop import show_in_folder
from r1desk.theme import explain, set_role
from r1desk.widgets.bounded_dialog import ask
from r1desk.widgets.layouts import ScrolledColumn, filled, put_inside, with_properties
from r1desk.widgets.text_label import ElidedField, NamedBox, push_button, selectable_label


class DetailPane(QWidget):
    """Shows one file. What a person asks for is a signal."""

    use_requested = Signal(Path)
    download_requested = Signal(object)  # a DownloadSpec
    remove_requested = Signal(object, bool)  # the ModelFile, for good; after the user confirmed it

    def __init__(self) -> None:
        super().__init__()
        self._file: ModelFile | None = None
        self.summary = FileSummary()
        self.text = selectable_label()
        set_role(self.text, "dim")
        self.source = NamedBox(tr("Download from"), self)
        self.source.currentIndexChanged.connect(self._on_source)
        self.address = ElidedField(readOnly=True, frame=False)
        self.address.setAccessibleName(tr("Address"))
        set_role(self.address, "dim")
        self.show_button = push_button(tr("Show in folder"), self._on_show)
        self.unload_button = QPushButton(tr("Unload"), autoDefault=False)
        self.delete_button = push_button(tr("Delete…"), self.ask_to_delete)
        self.button = push_button(tr("Use this model"), self.act)
        set_role(self.button, "primary")
        self._arrange()
        self.show_file(None, "", Present())

    def _arrange(self) -> None:
        content = ScrolledColumn()
        column = filled(QVBoxLayout(content), self.summary, self.text, spacing=8)
        column.addStretch()
        area = with_properties(QScrollArea(), widgetResizable=True, frameShape=QFrame.Shape.NoFrame)
        area.setAccessibleName(tr("About the model"))
        area.setWidget(content)
        area.viewport().setAutoFillBackground(False)
        content.setAutoFillBackground(False)
        layout = filled(QVBoxLayout(self), area, spacing=6)
        layout.setStretch(0, 1)
        row = filled(put_inside(layout, QHBoxLayout()), self.source, self.address)
        row.setStretch(1, 1)
        others = (self.show_button, self.unload_button, self.delete_button)
        filled(put_inside(layout, QHBoxLayout()), *others).addStretch()
        layout.addWidget(self.button)

    def show_file(self, file: ModelFile | None, ladder: str, present: Present) -> None:
        """Show a file; `ladder` is the sentence on its model's files."""
        other = file is None or self._file is None or file.key != self._file.key
        self._file = file
        here, arriving = file is not None and file.path is not None, False
        text, kept = "", ""
        if file is not None:
            arriving = present.is_arriving(file)
            kept = why_kept(file, loaded=present.is_loaded(file)) if here else ""
            text = "\n\n".join((details(file, ladder), kept)).strip()
        self.summary.show_file(file)
        self.text.setText(text)
        if other:
            self._show_sources(file)
        self.source.setVisible(self.source.count() > 1)
        self.show_button.setVisible(here)
        self.delete_button.setVisible(here)
        self.delete_button.setEnabled(not kept)
        loaded = file is not None and present.is_loaded(file)
        self.unload_button.setVisible(loaded)
        action = tr("Use this model") if here else tr("Download now")
        self.button.setText(tr("Downloading…") if arriving else action)
        usable = file is not None and file.error is None and not arriving and not loaded
        self.button.setEnabled(usable)
        self.button.setVisible(not loaded)
        self.button.setDefault(here)  # nothing is downloaded by a Return in the list

    def _show_sources(self, file: ModelFile | None) -> None:
        self.source.clear()
        for host, specs in file.sources.items() if file is not None and file.path is None else ():
            self.source.addItem(host, specs)
        self._on_source()

    @property
    def _specs(self) -> tuple[DownloadSpec, ...]:
        """The downloads from the host that is shown."""
        return self.source.currentData() or ()

    @Slot()
    def _on_source(self) -> None:
        path = self._file.path if self._file is not None else None
        address = self._specs[0].url if self._specs else str(path or "")
        self.address.setText(address)
        self.address.setCursorPosition(0)  # its host says where a file comes from
        explain(self.address, address)

    # ---- what is done -----------------------------------------------------------------------

    @Slot()
    def act(self) -> None:
        """Use the file, or download it: what the button says."""
        file = self._file
        if file is None or not self.button.isEnabled():
            return
        if file.path is not None:
            self.use_requested.emit(file.path)
        elif file.verifiable:
            self._download(accept_unverified=False)
        else:
            text = tr("No checksum is known for {file}.", file=file.file)
            details = tr("The downloaded file cannot be checked.")
            role = QMessageBox.ButtonRole.DestructiveRole
            download = partial(self._download, accept_unverified=True)
            ask(self, text, details, (tr("Download anyway"), role, download))

    def _download(self, *, accept_unverified: bool) -> None:
        for spec in self._specs:
            wanted = replace(spec, accept_unverified=True) if accept_unverified else spec
            self.download_requested.emit(wanted)

    @Slot()
    def _on_show(self) -> None:
        if self._file is not None and self._file.path is not None:
            show_in_folder(self._file.path)

    @Slot()
    def ask_to_delete(self) -> None:
        """Ask whether the file goes to the trash, or for good."""
        file = self._file
        if file is None or file.path is None or not self.delete_button.isEnabled():
            return
        lines = (
            breakable_address(str(file.path)),
            deletion_note(file),
            tr("The space is free once the trash is emptied."),
        )
        size = format_size(file.size_bytes or 0)
        text = tr("Delete {name} ({size})?", name=file.name, size=size)
        roles = QMessageBox.ButtonRole
        trash = partial(self.remove_requested.emit, file, False)
        delete = partial(self.remove_requested.emit, file, True)
        ask(
            self,
            text,
            "\n\n".join(lines),
            (tr("Move to the trash"), roles.AcceptRole, trash),
            (tr("Delete for good"), roles.DestructiveRole, delete),
        )
