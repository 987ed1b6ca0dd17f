"""The dialog to choose a model: one list with filters, and what is known of the selected one."""

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import (
    QDialogButtonBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.catalogue.hub_reference import HUB_HOSTS, hosts_in_order
from deepseek_r1.catalogue.model_file import ModelFile
from deepseek_r1.catalogue.recommendation import (
    best_for_you,
    is_good,
    ladder_of,
    ladder_text,
    one_of_each,
)
from deepseek_r1.core.i18n import tr, trn
from deepseek_r1.core.units import format_size
from r1desk.models.file_texts import Present
from r1desk.models.widgets.detail_pane import DetailPane
from r1desk.models.widgets.model_list import ModelList
from r1desk.theme import set_role
from r1desk.widgets.bounded_dialog import KeyDialog, size_within_screen
from r1desk.widgets.layouts import filled, put_inside, with_properties
from r1desk.widgets.notice_bar import NoticeBar
from r1desk.widgets.text_label import NamedBox, call_with, push_button, text_label

SUITED = QSize(1040, 640)
ALL, HERE, KNOWN, HUB = range(4)


class ModelChooser(KeyDialog):
    """Shows the files that its presenter finds; the filter decides which of them."""

    list_requested = Signal(str, object)  # a repository or an address, and the HubHost

    def __init__(self, budget_mib: int, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Choose a model"))
        self._budget_mib = budget_mib
        self._files: tuple[ModelFile, ...] = ()
        self._listed: tuple[ModelFile, ...] = ()  # of the repository
        self._hub_note = tr(
            "Nothing is sent until you press “List files”. Example: unsloth/Qwen3-4B-GGUF"
        )
        self._hub_note_role = "dim"
        self._present = Present()
        self._free_bytes: int | None = None
        self.filter = with_properties(QTabBar(), accessibleName=self.windowTitle(), expanding=False)
        for text in (tr("All"), tr("On this computer"), tr("Models to download"), tr("Any model")):
            self.filter.addTab(text)
        self.name = QLineEdit(clearButtonEnabled=True, maxLength=500)
        self.name.setPlaceholderText(tr("owner/name, or an address"))
        self.name.setAccessibleName(tr("Repository or address"))
        self.name.returnPressed.connect(self._on_list)
        self.list_button = push_button(tr("List files"), self._on_list)
        self.note = text_label(tr("Looking for models…"), "dim")
        self.notices = NoticeBar()
        self.list, self.pane = ModelList(), DetailPane()
        self.file_button = QPushButton(tr("Open a file…"))
        self._arrange()
        self.filter.currentChanged.connect(self._on_filter)
        self.list.selectionModel().currentRowChanged.connect(self._show_selected)
        self.list.doubleClicked.connect(self._on_double_click)
        self.pane.download_requested.connect(self.accept)
        keys = QKeySequence.StandardKey
        for key, step in ((keys.NextChild, 1), (keys.PreviousChild, -1)):
            call_with(QShortcut(QKeySequence(key), self).activated, self._go_on, step)
        QShortcut(
            QKeySequence(keys.Delete),
            self.list,
            self.pane.ask_to_delete,
            context=Qt.ShortcutContext.WidgetShortcut,
        )
        self._on_filter()
        self.list.setFocus()

    def _arrange(self) -> None:
        layout = filled(QVBoxLayout(self), self.filter, spacing=8, margins=(12, 10, 12, 12))
        self._hub_row = QWidget()
        layout.addWidget(self._hub_row)
        row = filled(QHBoxLayout(self._hub_row), self.name)
        self.host = NamedBox(tr("Download from"), self._hub_row)
        for host in HUB_HOSTS:
            self.host.addItem(host.name, host)
        self.host.setCurrentText(hosts_in_order()[0].name)
        filled(row, self.host, self.list_button).setStretch(0, 1)
        layout.addWidget(self.note)
        layout.addWidget(self.notices)
        parts = filled(put_inside(layout, QHBoxLayout()), self.list, self.pane, spacing=14)
        layout.setStretch(layout.count() - 1, 1)
        for place, stretch in enumerate((6, 5)):
            parts.setStretch(place, stretch)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.addButton(self.file_button, QDialogButtonBox.ButtonRole.ActionRole)
        for button in buttons.findChildren(QPushButton):
            button.setAutoDefault(False)  # a Return in the field must not close the dialog
        buttons.rejected.connect(self.reject)
        layout.addWidget(buttons)
        self.buttons = buttons

    def showEvent(self, event: QShowEvent) -> None:
        """Take the size that suits it, within the screen."""
        self.resize(size_within_screen(self, SUITED))
        super().showEvent(event)

    # ---- what is shown ----------------------------------------------------------------------

    def show_files(self, files: Sequence[ModelFile], present: Present) -> None:
        """Show the files of this computer and of the catalogue; the selected one stays selected."""
        self._files, self._present = tuple(files), present
        self._fill()

    def show_present(self, present: Present) -> None:
        """Show what is in use, here or on its way."""
        self.show_files(self._files, present)

    def show_listed(self, files: Sequence[ModelFile], wanted: str, note: str) -> None:
        """Show the files of a repository, the wanted one selected."""
        first = not self._listed
        self._listed = tuple(files)
        self.show_hub_note("\n".join(text for text in (note, ladder_text(files)) if text))
        if first:
            self.list.select([each.key for each in files if each.file == wanted])
            self.list.setFocus()

    def show_hub_note(self, text: str, role: str = "dim") -> None:
        """Say how the query of a repository goes."""
        self._hub_note, self._hub_note_role = text, role
        self._fill()

    def show_free_space(self, free_bytes: int | None) -> None:
        """Show how much is free on the drive of the models folder."""
        self._free_bytes = free_bytes
        self._show_note()

    def _rows(self) -> tuple[ModelFile, ...]:
        """The files that pass the filter."""
        here = tuple(each for each in self._files if each.path is not None)
        return {
            ALL: (*here, *(each for each in self._recommended if each.path is None)),
            HERE: here,
            KNOWN: tuple(each for each in self._files if each.known is not None),
            HUB: self._listed,
        }[self.filter.currentIndex()]

    def _go_on(self, step: int) -> None:
        """The next filter or the one before, as Ctrl+Tab does elsewhere."""
        self.filter.setCurrentIndex((self.filter.currentIndex() + step) % self.filter.count())

    @Slot()
    def _on_filter(self) -> None:
        hub = self.filter.currentIndex() == HUB
        self._hub_row.setVisible(hub)
        self._fill()
        if hub and not self._listed:
            self.name.setFocus()

    def _fill(self) -> None:
        before = self.list.selected
        keys = [before.key] if before is not None else [self._present.chosen]
        self._recommended = one_of_each(self._files, self._budget_mib)
        best = best_for_you(self._files)
        if best is not None and not best.tok_s:
            best = None  # no speed is known yet
        good = tr("recommended") if best is None else tr("also good")
        notes = {each.key: good for each in self._recommended if is_good(each, self._budget_mib)}
        if best is not None:
            notes[best.key] = tr("best for you")
        if self.list.show_files(self._rows(), notes, self._present):
            self.list.select(keys)
        self._show_note()
        self._show_selected()

    def _show_note(self) -> None:
        text, role = self._hub_note, self._hub_note_role
        if self.filter.currentIndex() != HUB:
            here = [each for each in self._files if each.path is not None]
            size = format_size(sum(each.size_bytes or 0 for each in here))
            text = trn("{size} in {n} model", "{size} in {n} models", len(here), size=size)
            if self._free_bytes is not None:
                free = format_size(self._free_bytes)
                text += " · " + tr("{size} free for models", size=free)
            sizes = tr(
                "Most models come in several sizes: smaller is faster, larger is more accurate."
            )
            dropped = tr("You can also drop a file onto the window.")
            text += " · " + (sizes if self.filter.currentIndex() == KNOWN else dropped)
            text, role = text if here else tr("Looking for models…"), "dim"
        self.note.setText(text)
        self.note.setAccessibleName(text)
        set_role(self.note, role)

    @Slot()
    def _show_selected(self) -> None:
        file = self.list.selected
        known = file.known if file is not None else None
        ladder = ladder_text(ladder_of(self._files, known)) if known is not None else ""
        self.pane.show_file(file, ladder, self._present)

    # ---- what is asked for ------------------------------------------------------------------

    @Slot()
    def _on_double_click(self) -> None:
        if (file := self.list.selected) is not None and file.path is not None:
            self.pane.act()

    @Slot()
    def _on_list(self) -> None:
        self._listed = ()
        self._fill()
        self.list_requested.emit(self.name.text(), self.host.currentData())
