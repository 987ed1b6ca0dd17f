"""What this is, in which versions, and where its data lives; and the keys that work."""

from __future__ import annotations

import platform

import PySide6
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1 import __version__
from deepseek_r1.core.paths import profile_dir
from deepseek_r1.core.words import tr
from r1desk.layouts import put_inside
from r1desk.theme import app_icon, set_role


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


def _fill_head(row: QHBoxLayout, text: str) -> None:
    """The application's picture beside a sentence about it."""
    row.setSpacing(14)
    picture = QLabel(pixmap=app_icon().pixmap(48, 48))
    row.addWidget(picture, 0, Qt.AlignmentFlag.AlignTop)
    row.addWidget(QLabel(text, wordWrap=True), 1)


def _table(parent: QWidget, title: str, text: str, rows: list[tuple[str, str]]) -> QDialog:
    dialog = QDialog(parent)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setWindowTitle(title)
    layout = QVBoxLayout(dialog)
    layout.setContentsMargins(20, 18, 20, 14)
    layout.setSpacing(14)
    if text:
        _fill_head(put_inside(layout, QHBoxLayout()), text)
    form = put_inside(layout, QFormLayout())
    form.setHorizontalSpacing(24)
    for name, value in rows:
        label = QLabel(value, wordWrap=True)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        heading = QLabel(name)
        set_role(heading, "dim")
        form.addRow(heading, label)
    buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
    buttons.rejected.connect(dialog.reject)
    layout.addWidget(buttons)
    dialog.resize(460, dialog.sizeHint().height())
    return dialog
