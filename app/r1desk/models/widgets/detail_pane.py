"""Shows all about the selected file, with a button for each thing that can be done.

Nothing is downloaded before its button is pressed; address, size and bill are shown before that.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import (
    QCheckBox,
    QFrame,
    QHBoxLayout,
    QMessageBox,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.catalogue.download_spec import DownloadSpec, spec_for_draft
from deepseek_r1.catalogue.known_models import KnownDraft
from deepseek_r1.catalogue.model_file import ModelFile
from deepseek_r1.core.i18n import N_, tr
from deepseek_r1.core.units import format_mib, format_size
from deepseek_r1.memory.forecast import with_rate
from r1desk.chat.presenters.link_dialog import ask_to_open
from r1desk.models.file_texts import Present, breakable_address, deletion_note, details, why_kept
from r1desk.models.widgets.file_summary import FileSummary
from r1desk.platform.desktop import show_in_folder
from r1desk.theme import explain, set_role
from r1desk.widgets.bounded_dialog import ask
from r1desk.widgets.layouts import ScrolledColumn, filled, put_inside, with_properties
from r1desk.widgets.text_label import ElidedField, NamedBox, push_button, selectable_label

_LEAST_GAIN = 1.1  # in speed, for more memory


class DetailPane(QWidget):
    """Shows one file. What a person asks for is a signal."""

    use_requested = Signal(Path)
    download_requested = Signal(object, object)  # DownloadSpec, that of a draft model or None
    budget_requested = Signal(int)  # MiB
    trash_requested = Signal(object)  # the ModelFile, after the user confirmed it
    delete_requested = Signal(object)  # the same

    def __init__(self) -> None:
        super().__init__()
        self._file: ModelFile | None = None
        self._draft_chosen: bool | None = None  # by the user
        self.summary = FileSummary()
        self.standing, self.text = selectable_label(), selectable_label()
        set_role(self.standing, "success")
        set_role(self.text, "dim")
        self.draft = QCheckBox()
        self.draft.clicked.connect(self._on_draft_clicked)
        self.source = NamedBox(tr("Download from"), self)
        self.source.currentIndexChanged.connect(self._on_source)
        self.address = ElidedField(readOnly=True, frame=False)
        self.address.setAccessibleName(tr("Address"))
        set_role(self.address, "dim")
        self.open_button = push_button(tr("Open in the browser…"), self._on_open)
        self.show_button = push_button(tr("Show in folder"), self._on_show)
        self.unload_button = QPushButton(tr("Unload"), autoDefault=False)
        self.delete_button = push_button(tr("Delete…"), self.ask_to_delete)
        self.give_button = push_button("", self._on_give)
        self.button = push_button(tr("Use this model"), self.act)
        set_role(self.button, "primary")
        self._arrange()
        self.show_file(None, "", "", Present(), None)

    def _arrange(self) -> None:
        content = ScrolledColumn()
        texts = (self.standing, self.text, self.draft)
        column = filled(QVBoxLayout(content), self.summary, *texts, spacing=8)
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
        others = (self.open_button, self.show_button, self.unload_button, self.delete_button)
        filled(put_inside(layout, QHBoxLayout()), *others).addStretch()
        filled(put_inside(layout, QVBoxLayout()), self.give_button, self.button, spacing=6)

    def show_file(
        self,
        file: ModelFile | None,
        standing: str,
        ladder: str,
        present: Present,
        free_bytes: int | None,
    ) -> None:
        """Show a file; `standing` and `ladder` are sentences on it and on its model's files."""
        other = file is None or self._file is None or file.key != self._file.key
        self._file = file
        here, arriving = file is not None and file.path is not None, False
        text, kept = "", ""
        if file is not None:
            arriving = present.is_arriving(file)
            kept = why_kept(file, loaded=present.is_loaded(file)) if here else ""
            text = "\n\n".join((details(file, ladder, free_bytes), kept)).strip()
        self.summary.show_file(file)
        self.standing.setText(standing)
        self.standing.setVisible(bool(standing))
        self.text.setText(text)
        if other:
            self._show_sources(file)
        self.source.setVisible(self.source.count() > 1)
        self.open_button.setVisible(file is not None and not here)
        self.show_button.setVisible(here)
        self.delete_button.setVisible(here)
        self.delete_button.setEnabled(not kept)
        loaded = file is not None and present.is_loaded(file)
        self.unload_button.setVisible(loaded)
        self._offer_draft(file, present)
        self._offer_budget(file)
        action = tr("Use this model") if here else tr("Download now")
        self.button.setText(tr("Downloading…") if arriving else action)
        usable = file is not None and file.error is None and not arriving and not loaded
        for button in (self.button, self.give_button):
            button.setEnabled(usable)
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

    # ---- a draft model, a larger budget -----------------------------------------------------

    def _offered_draft(self, file: ModelFile | None, present: Present) -> KnownDraft | None:
        if file is None or file.path is not None or file.known is None:
            return None
        draft = file.draft
        return None if draft is None or draft.id in present.drafts else draft

    def _offer_draft(self, file: ModelFile | None, present: Present) -> None:
        """Checked where the model runs from the disk, until the user chooses."""
        self._draft = draft = self._offered_draft(file, present)
        self.draft.setVisible(draft is not None)
        if draft is None or file is None:
            return
        size = format_size(draft.about_bytes)
        self.draft.setText(tr("With its draft model, about {size} more", size=size))
        lines = (
            tr("A small model that can speed up answers while the model runs from the disk."),
            tr("Its licence is stated on {page}", page=str(draft.origin)),
            spec_for_draft(draft).url,
        )
        explain(self.draft, "\n".join(lines))
        streams = file.forecast is not None and file.forecast.bill.streams
        self.draft.setChecked(streams if self._draft_chosen is None else self._draft_chosen)

    @Slot(bool)
    def _on_draft_clicked(self, checked: bool) -> None:
        self._draft_chosen = checked

    def _offer_budget(self, file: ModelFile | None) -> None:
        """A budget that holds the model whole, where so much memory is free and it is faster."""
        forecast = file.forecast if file is not None else None
        raised = forecast.raised if forecast is not None else None
        self.give_button.setVisible(
            forecast is not None
            and raised is not None
            and (not forecast.tok_s or forecast.raised_tok_s > _LEAST_GAIN * forecast.best_tok_s)
        )
        if file is None or forecast is None or raised is None:
            return
        here = N_("Use it and give it {memory}")
        text = here if file.path is not None else N_("Download and give it {memory}")
        text = tr(text, memory=format_mib(raised.memory_budget))
        self.give_button.setText(with_rate(text, forecast.raised_tok_s))

    @Slot()
    def _on_give(self) -> None:
        if self._file is not None and self._file.forecast is not None:
            raised = self._file.forecast.raised
            if raised is not None:
                self.budget_requested.emit(raised.memory_budget)
        self.act()

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
        wanted = self._draft if self.draft.isChecked() else None
        draft = spec_for_draft(wanted) if wanted is not None else None
        for spec in self._specs:
            wanted_spec = replace(spec, accept_unverified=True) if accept_unverified else spec
            self.download_requested.emit(wanted_spec, draft)

    @Slot()
    def _on_open(self) -> None:
        ask_to_open(self.address.text(), self, tr("Open this address in your browser?"))

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
        trash = partial(self.trash_requested.emit, file)
        delete = partial(self.delete_requested.emit, file)
        ask(
            self,
            text,
            "\n\n".join(lines),
            (tr("Move to the trash"), roles.AcceptRole, trash),
            (tr("Delete for good"), roles.DestructiveRole, delete),
        )
