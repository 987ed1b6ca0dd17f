"""The choice among presets, and the dialog for the name of one."""

from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker, QSize, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialogButtonBox,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core.i18n import tr
from r1desk.chat.answers.chat_settings import NAME_CHARACTERS, Preset
from r1desk.chat.presenters.chat_window import is_typed_text
from r1desk.theme import explain
from r1desk.widgets.bounded_dialog import BoundedDialog
from r1desk.widgets.layouts import filled, keep_place, put_inside
from r1desk.widgets.text_label import open_menu_by, text_label, tool_button


class _PresetBox(QComboBox):
    """Letters do not choose a preset: what is typed is meant for the message."""

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if is_typed_text(event):
            event.ignore()
        else:
            super().keyPressEvent(event)


class PresetRow(QWidget):
    """Whose settings follow, a drop-down with all presets, and a menu beside it."""

    chosen = Signal(object)  # the `Preset` to apply

    def __init__(self) -> None:
        super().__init__()
        self._presets: tuple[Preset, ...] = ()
        self.last: Preset | None = None  # the preset applied last, perhaps changed since
        self.box = _PresetBox()
        self.box.setAccessibleName(tr("Preset"))
        self.box.setPlaceholderText(tr("Choose a preset…"))
        explain(self.box, tr("Instructions and answer settings under one name, for this chat."))
        self.box.setMinimumContentsLength(12)
        self.box.activated.connect(self._on_activated)
        self.menu_button = tool_button("more", tr("Manage presets"))
        open_menu_by(self.menu_button, QMenu(self.menu_button))
        self.default_button = QPushButton(tr("Make it the default"), flat=True)
        explain(self.default_button, tr("New chats use these settings and instructions."))
        keep_place(self.default_button)
        column = filled(QVBoxLayout(self), spacing=4)
        head = put_inside(column, QHBoxLayout())
        label = text_label(tr("This chat"), "heading")
        label.setBuddy(self.box)  # its name for screen readers on Linux, where Qt gives the value
        filled(head, label, self.default_button)
        head.setStretch(0, 1)
        filled(put_inside(column, QHBoxLayout()), self.box, self.menu_button, spacing=6)

    def show_presets(self, presets: Sequence[Preset], current: Preset | None) -> None:
        """Show these presets; `current` is the one in force, None for settings of no preset."""
        names_before = [preset.name for preset in self._presets]
        self._presets = tuple(presets)
        names = [preset.name for preset in presets]
        with QSignalBlocker(self.box):
            if names != names_before:  # else a name that is being typed would be forgotten
                self.box.clear()
                self.box.addItems(names)
            self.box.setCurrentIndex(self._presets.index(current) if current else -1)
        if current is not None:
            self.last = current
        elif self.last is not None:  # it may have been deleted or renamed
            key = self.last.key
            self.last = next((p for p in presets if p.key == key and key), None)

    @Slot(int)
    def _on_activated(self, index: int) -> None:
        self.last = self._presets[index]
        self.chosen.emit(self.last)


class PresetDialog(BoundedDialog):
    """Asks for a preset's name, and whether its model belongs to it."""

    def __init__(self, parent: QWidget, title: str, name: str, model_name: str = "") -> None:
        """`model_name` of the model that is loaded; empty where it is not asked about."""
        super().__init__(parent, title, QSize(400, 0))
        self.name = QLineEdit(name, maxLength=NAME_CHARACTERS)
        self.name.setAccessibleName(tr("Name of the preset"))
        self.name.selectAll()
        self.with_model = QCheckBox(tr("Load {model} with it", model=model_name))
        column = self.fill_column(spacing=10)
        for part in (text_label(tr("Name")), self.name, self.with_model):
            column.addWidget(part)
        self.with_model.setVisible(bool(model_name))
        choices = QDialogButtonBox.StandardButton
        self.buttons.setStandardButtons(choices.Save | choices.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.name.textChanged.connect(self._on_name)
        self._on_name()
        self.name.setFocus()

    @Slot()
    def _on_name(self) -> None:
        save = self.buttons.button(QDialogButtonBox.StandardButton.Save)
        save.setEnabled(bool(self.name.text().strip()))
