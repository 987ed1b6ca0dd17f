"""The dialogs "About R1 Desk" and "Keyboard shortcuts"."""

from __future__ import annotations

import platform

import PySide6
from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QDialog, QFormLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from deepseek_r1 import __version__
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.paths import profile_dir
from r1desk.theme import app_icon, set_role
from r1desk.widgets.bounded_dialog import BoundedDialog
from r1desk.widgets.layouts import put_inside


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
        (tr("End the thinking, answer now"), "Ctrl+Enter"),
        (tr("Edit the last message"), "↑"),
        (tr("Attach files"), "Ctrl+U"),
        (tr("Undo the last deletion or change"), "Ctrl+Z, Ctrl+Alt+Z"),
        (tr("New chat"), "Ctrl+N"),
        (tr("Search conversations"), "Ctrl+K"),
        (tr("Find in this conversation"), "Ctrl+F"),
        (tr("Rename the conversation"), "F2"),
        (tr("Move to trash"), "Ctrl+Del"),
        (tr("Another answer"), "Ctrl+R"),
        (tr("Choose a model"), "Ctrl+O"),
        (tr("Conversations"), "Ctrl+B"),
        (tr("Performance"), "Ctrl+J"),
        (tr("Menu"), "F10"),
        (tr("Settings"), "Ctrl+,"),
        (tr("Larger text"), "Ctrl++"),
        (tr("Smaller text"), "Ctrl+-"),
        (tr("Quit"), "Ctrl+Q"),
    ]
    return _table(parent, tr("Keyboard shortcuts"), "", rows)


def _fill_head(row: QHBoxLayout, text: str) -> None:
    """Put the application's icon beside a sentence about it."""
    row.setSpacing(14)
    picture = QLabel(pixmap=app_icon().pixmap(48, 48))
    row.addWidget(picture, 0, Qt.AlignmentFlag.AlignTop)
    row.addWidget(QLabel(text, wordWrap=True), 1)


def _table(parent: QWidget, title: str, text: str, rows: list[tuple[str, str]]) -> QDialog:
    dialog = BoundedDialog(parent, QSize(460, 160))
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setWindowTitle(title)
    body = QWidget()
    layout = QVBoxLayout(body)
    layout.setContentsMargins(4, 2, 4, 2)
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
    layout.addStretch(1)
    dialog.set_body(body)
    return dialog
