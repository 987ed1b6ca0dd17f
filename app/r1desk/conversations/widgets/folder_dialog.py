"""The dialog of a folder: its name, and what its new conversations begin with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFormLayout,
    QLineEdit,
    QPlainTextEdit,
    QWidget,
)

from deepseek_r1.core.i18n import tr
from deepseek_r1.core.paths import STARTER_NAME, starter_model
from deepseek_r1.core.settings import SamplingSettings
from r1desk.preferences import Preferences
from r1desk.store import ConversationSettings, FolderInfo
from r1desk.theme import set_role
from r1desk.widgets.bounded_dialog import BoundedDialog
from r1desk.widgets.layouts import put_inside
from r1desk.widgets.text_label import text_label

SPIN_PX = 110
_SAMPLING = {"temperature": 0.05, "top_p": 0.01, "repeat_penalty": 0.01, "max_tokens": 64.0}


class FolderDialog(BoundedDialog):
    """Changes a copy of the folder, which its owner stores where the dialog is accepted."""

    def __init__(self, parent: QWidget, folder: FolderInfo, preferences: Preferences) -> None:
        super().__init__(parent, tr("Folder"), QSize(460, 200))
        self._folder = folder
        self._sampling = folder.settings.sampling or preferences.sampling
        self.name = QLineEdit(folder.name, maxLength=60)
        self.instructions = QPlainTextEdit(folder.settings.system_prompt, tabChangesFocus=True)
        self.instructions.setPlaceholderText(tr("As in every new chat"))
        self.instructions.setFixedHeight(6 * self.fontMetrics().lineSpacing())
        self.model = QComboBox()
        self._fill_models(preferences)
        self.own_sampling = QCheckBox(tr("Sampling settings of its own"))
        self.own_sampling.setChecked(folder.settings.sampling is not None)
        self.spins = {key: self._make_spin(key, step) for key, step in _SAMPLING.items()}
        self._build()

    def _build(self) -> None:
        self.buttons.setStandardButtons(
            QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel
        )
        save = self.buttons.button(QDialogButtonBox.StandardButton.Save)
        set_role(save, "primary")
        self.buttons.accepted.connect(self.accept)
        self.name.textChanged.connect(lambda text: save.setEnabled(bool(text.strip())))
        column = self.fill_column(spacing=10)
        form = put_inside(column, QFormLayout(fieldGrowthPolicy=_GROWS, verticalSpacing=8))
        rows = ((tr("Name"), self.name), (tr("Instructions"), self.instructions))
        for label, field in (*rows, (tr("Model"), self.model)):
            form.addRow(label, field)
            field.setAccessibleName(label)
        form.addRow("", self.own_sampling)
        for key, spin in self.spins.items():
            title = tr(SamplingSettings.info(key).title)
            form.addRow(title, spin)
            spin.setAccessibleName(title)
            spin.setToolTip(tr(SamplingSettings.info(key).help))
            spin.setEnabled(self.own_sampling.isChecked())
            self.own_sampling.toggled.connect(spin.setEnabled)
        note = tr(
            "New chats in this folder begin with these; chats that are there stay as they are."
        )
        column.addWidget(text_label(note, "dim"))
        column.addStretch(1)
        self.name.setFocus()

    def _make_spin(self, key: str, step: float) -> QDoubleSpinBox:
        whole = SamplingSettings.model_fields[key].annotation is int
        spin = QDoubleSpinBox(decimals=0 if whole else 2, singleStep=step)
        spin.setGroupSeparatorShown(True)
        spin.setAlignment(Qt.AlignmentFlag.AlignRight)
        spin.lineEdit().setTextMargins(0, 0, 5, 0)
        spin.setMaximumWidth(SPIN_PX)
        spin.setRange(*SamplingSettings.bounds(key))
        spin.setValue(getattr(self._sampling, key))
        return spin

    def _fill_models(self, preferences: Preferences) -> None:
        chosen, starter = self._folder.settings.model_path, starter_model()
        names = {path: Path(path).stem for path in (*preferences.recent_models, chosen)}
        names[""] = tr("Whichever is loaded")
        if starter is not None:
            names[str(starter)] = STARTER_NAME
        for path in ("", *filter(None, names)):
            self.model.addItem(names[path], path)
        self.model.setCurrentIndex(self.model.findData(chosen))

    def folder(self) -> FolderInfo:
        """The folder as it is in the dialog."""
        values = {key: spin.value() for key, spin in self.spins.items()}
        own = SamplingSettings(**{**self._sampling.model_dump(), **values})
        settings = ConversationSettings(
            str(self.model.currentData()),
            self.instructions.toPlainText(),
            own if self.own_sampling.isChecked() else None,
        )
        return replace(self._folder, name=self.name.text(), settings=settings)


_GROWS = QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow
