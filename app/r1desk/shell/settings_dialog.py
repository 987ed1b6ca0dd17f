"""The settings page: language, appearance, text, and the folders on the disk."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from PySide6.QtCore import QSize, Qt, QUrl, Slot
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.i18n import LANGUAGES, tr, trn
from deepseek_r1.core.models_folders import default_models_dir
from r1desk.chat.text.text_style import ReadingWidth
from r1desk.models.feature import CHOICES_MIN
from r1desk.platform.desktop import OFFERED
from r1desk.platform.tasks import Tasks, task
from r1desk.preferences import Preferences, ThemeName, WidthName
from r1desk.theme import ThemeChoice, explain, set_role
from r1desk.widgets.bounded_dialog import BoundedDialog
from r1desk.widgets.file_dialog import chosen_file
from r1desk.widgets.layouts import filled, put_inside, with_properties
from r1desk.widgets.text_label import ElidedLabel, call_with, push_button, text_label

T = TypeVar("T")
TEXT_SIZES_PT = (8, 24)


class Appearance(Protocol):
    """Puts another value of a preference in force, at once."""

    def set_language(self, language: str | None) -> None: ...
    def set_theme(self, theme: ThemeName) -> None: ...
    def set_text_size(self, points: int) -> None: ...
    def set_width(self, width: WidthName) -> None: ...
    def set_notices(self, wanted: bool) -> None: ...
    def set_unload_time(self, minutes: int) -> None: ...
    def open_panel(self) -> None: ...
    async def choose_folder(self, folder: Path | None) -> Path: ...  # for models; raises R1Error


class SettingsDialog(BoundedDialog):
    """Every change is in force at once; there is nothing to confirm."""

    def __init__(
        self,
        parent: QWidget,
        preferences: Preferences,
        appearance: Appearance,
        folders: Mapping[str, Path],
    ) -> None:
        super().__init__(parent, tr("Settings"), QSize(560, 380))
        self.tasks = Tasks(self)
        self._appearance = appearance
        self._paths: dict[str, ElidedLabel] = {}
        self._folders = dict(folders)
        column = self.fill_column(spacing=10)
        self._fill_choices(put_inside(column, QFormLayout()), preferences, appearance)
        self.panel_button = push_button(tr("Memory, speed and answers…"), self._on_panel)
        explain(self.panel_button, tr("These settings stand beside the chat."))
        column.addWidget(self.panel_button, alignment=Qt.AlignmentFlag.AlignLeft)
        column.addSpacing(6)
        column.addWidget(text_label(tr("On the disk"), "heading"))
        self._fill_folders(put_inside(column, QGridLayout()))
        column.addWidget(self._models_folder_row())
        column.addStretch(1)
        self.language.setFocus()

    def _fill_choices(
        self, form: QFormLayout, present: Preferences, appearance: Appearance
    ) -> None:
        form.setHorizontalSpacing(24)
        form.setVerticalSpacing(10)

        def choice(
            title: str, current: T, entries: Mapping[T, str], choose: Callable[[T], None]
        ) -> QComboBox:
            combo = with_properties(QComboBox(), accessibleName=title)
            for value, text in entries.items():
                combo.addItem(text, value)
            combo.setCurrentIndex(list(entries).index(current) if current in entries else 0)
            combo.activated.connect(lambda _index: choose(combo.currentData()))
            form.addRow(title, combo)
            return combo

        self.language = choice(
            tr("Language"), present.language, languages(), appearance.set_language
        )
        self.theme = choice(tr("Theme"), present.theme, themes(), appearance.set_theme)
        points = range(TEXT_SIZES_PT[0], TEXT_SIZES_PT[1] + 1)
        sizes = {0: tr("System default"), **{pt: tr("{n} points", n=pt) for pt in points}}
        self.text_size = choice(
            tr("Text size"), present.text_size_pt, sizes, appearance.set_text_size
        )
        self.reading_width = choice(
            tr("Reading width"), present.reading_width, widths(), appearance.set_width
        )
        notices = {
            True: tr("Notification with the chat's title"),
            False: tr("Only mark the task bar"),
        }
        if OFFERED:
            self.notices = choice(
                tr("When an answer is ready"),
                present.system_notices,
                notices,
                appearance.set_notices,
            )
        times = _unload_times(present.unload_after_min)
        self.unload_after = choice(
            tr("Unload when idle"), present.unload_after_min, times, appearance.set_unload_time
        )

    def _models_folder_row(self) -> QWidget:
        """The buttons below the folders, and what became of the choice."""
        row = QWidget()
        column = filled(QVBoxLayout(row))
        buttons = put_inside(column, QHBoxLayout())
        self.change_folder = push_button(tr("Change models folder…"), self._on_change_folder)
        self.default_folder = push_button(tr("Use the default folder"), self._use_default)
        filled(buttons, self.change_folder, self.default_folder).addStretch()
        self.folder_note = text_label("", "dim")
        column.addWidget(self.folder_note)
        self._show_folder_state("")
        return row

    @Slot()
    def _on_panel(self) -> None:
        self.accept()
        self._appearance.open_panel()

    @task
    async def _on_change_folder(self) -> None:
        dialog = QFileDialog(self, tr("Models folder"), str(self._folders[tr("Models")]))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        if path := await chosen_file(dialog):
            await self._use_folder(Path(path))

    @task
    async def _use_default(self) -> None:
        await self._use_folder(None)

    async def _use_folder(self, wanted: Path | None) -> None:
        try:
            folder = await self._appearance.choose_folder(wanted)
        except R1Error as refused:
            self._show_folder_state(str(refused), "danger")
            return
        name = tr("Models")
        self._folders = {**self._folders, name: folder}
        self._paths[name].setText(str(folder))
        self._paths[name].setToolTip(str(folder))
        self._show_folder_state(
            tr(
                "New downloads go here. Models in the previous folder stay where they are and "
                "are still listed."
            )
        )

    def _show_folder_state(self, text: str, role: str = "dim") -> None:
        self.folder_note.setText(text)
        self.folder_note.setVisible(bool(text))
        set_role(self.folder_note, role)
        self.default_folder.setVisible(self._folders[tr("Models")] != default_models_dir())

    def _fill_folders(self, grid: QGridLayout) -> None:
        grid.setHorizontalSpacing(14)
        grid.setColumnStretch(1, 1)
        for row, (name, folder) in enumerate(self._folders.items()):
            path = self._paths[name] = ElidedLabel(str(folder))
            path.setToolTip(str(folder))
            set_role(path, "dim")
            show = QPushButton(tr("Show folder"))
            call_with(show.clicked, self._on_show, name)
            show.setAccessibleName(tr("Show the folder of {name}", name=name))
            for at, part in enumerate((QLabel(name), path, show)):
                grid.addWidget(part, row, at, Qt.AlignmentFlag.AlignVCenter)

    def _on_show(self, name: str) -> None:
        """Open the folder, or the nearest one above it that exists."""
        folder = self._folders[name]
        there = next((place for place in (folder, *folder.parents) if place.is_dir()), folder)
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(there)))


def languages() -> dict[str | None, str]:
    """The choices with their texts; None is the system's."""
    return {None: tr("System default"), **dict(LANGUAGES.items())}


def themes() -> dict[ThemeName, str]:
    """The choices with their texts."""
    return {
        ThemeChoice.SYSTEM.value: tr("System default"),
        ThemeChoice.LIGHT.value: tr("Light"),
        ThemeChoice.DARK.value: tr("Dark"),
        ThemeChoice.HIGH_CONTRAST.value: tr("High contrast"),
    }


def widths() -> dict[WidthName, str]:
    """The choices of how long lines may be, with their texts."""
    return {
        ReadingWidth.NARROW.value: tr("Narrow"),
        ReadingWidth.NORMAL.value: tr("Normal"),
        ReadingWidth.WIDE.value: tr("Wide"),
    }


def _unload_times(present: int) -> dict[int, str]:
    """The choices, and the present value where it is another one."""
    times = sorted({*CHOICES_MIN, present} - {0})
    texts = (trn("After {n} minute without use", "After {n} minutes without use", n) for n in times)
    return {0: tr("Never"), **dict(zip(times, texts, strict=True))}
