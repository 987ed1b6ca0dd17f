"""What this is, in which versions, and where its data lives; and the keys that work."""

from __future__ import annotations

import platform

import PySide6
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLabel, QVBoxLayout, QWidget

from deepseek_r1 import __version__
from deepseek_r1.core.paths import profile_dir
from deepseek_r1.core.words import tr
from r1desk.layouts import put_inside


def about(parent: QWidget, engine: str) -> QDialog:
    """Versions and folders. `engine` is the engine's own description, empty before it starts."""
    rows = [
        (tr("Version"), __version__),
        (tr("Engine"), engine or tr("not started")),
        ("Python", platform.python_version()),
        ("Qt", PySide6.__version__),
        (tr("Your data"), str(profile_dir())),
    ]
    text = tr(
        "DeepSeek-R1 on this computer's processor, inside one memory budget. "
        "Nothing you write leaves this computer."
    )
    return _table(parent, tr("About R1 Desk"), text, rows)


def shortcuts(parent: QWidget) -> QDialog:
    """The keyboard map."""
    rows = [
        (tr("Send"), "Enter"),
        (tr("New line"), "Shift+Enter"),
        (tr("Stop the answer"), "Esc"),
        (tr("Edit the last message"), "↑"),
        (tr("New chat"), "Ctrl+N"),
        (tr("Search conversations"), "Ctrl+K"),
        (tr("Rename the conversation"), "F2"),
        (tr("Move to trash"), "Ctrl+Del"),
        (tr("Another answer"), "Ctrl+R"),
        (tr("Choose a model"), "Ctrl+O"),
        (tr("Conversations"), "Ctrl+B"),
        (tr("Performance"), "Ctrl+J"),
        (tr("Larger text"), "Ctrl++"),
        (tr("Smaller text"), "Ctrl+-"),
        (tr("Quit"), "Ctrl+Q"),
    ]
    return _table(parent, tr("Keyboard shortcuts"), "", rows)


def _table(parent: QWidget, title: str, text: str, rows: list[tuple[str, str]]) -> QDialog:
    dialog = QDialog(parent)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setWindowTitle(title)
    layout = QVBoxLayout(dialog)
    if text:
        layout.addWidget(QLabel(text, wordWrap=True))
    form = put_inside(layout, QFormLayout())
    for name, value in rows:
        label = QLabel(value, wordWrap=True)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        form.addRow(tr("{name}:", name=name), label)
    buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
    buttons.rejected.connect(dialog.reject)
    layout.addWidget(buttons)
    dialog.resize(460, dialog.sizeHint().height())
    return dialog
