"""An address may be broken into lines, and what is copied is the address."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QClipboard, QContextMenuEvent, QGuiApplication
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from r1desk.models.widgets.model_tree import AddressLabel

# Said by the offscreen platform about every menu.
pytestmark = pytest.mark.qt_log_ignore("This plugin does not support", extend=True)
ADDRESS = "https://huggingface.co/unsloth/DeepSeek-R1-Distill-Qwen-1.5B-GGUF/resolve/main/a.gguf"


@pytest.fixture
def label(qtbot: QtBot) -> AddressLabel:
    label = AddressLabel()
    qtbot.addWidget(label)
    label.show_address(ADDRESS)
    label.resize(260, 120)
    label.show()
    return label


def copy_by_menu(label: AddressLabel) -> str:
    at = QPoint(10, 10)
    reason = QContextMenuEvent.Reason.Mouse
    QGuiApplication.sendEvent(label, QContextMenuEvent(reason, at, label.mapToGlobal(at)))
    menu = label.findChild(QMenu)
    menu.actions()[0].trigger()
    menu.close()
    return QGuiApplication.clipboard().text()


def test_the_whole_address_is_copied_where_nothing_is_selected(label: AddressLabel) -> None:
    assert label.text() != ADDRESS
    assert copy_by_menu(label) == ADDRESS


def test_a_selected_part_is_copied_as_it_is_in_the_address(label: AddressLabel) -> None:
    label.setSelection(8, len(label.text()) - 8)
    assert copy_by_menu(label) == ADDRESS[8:]


def test_a_new_press_selects_anew_and_drags_nothing(label: AddressLabel, qtbot: QtBot) -> None:
    label.setSelection(0, len(label.text()))
    qtbot.mousePress(label, Qt.MouseButton.LeftButton, pos=label.rect().center())
    assert not label.hasSelectedText()
    qtbot.mouseRelease(label, Qt.MouseButton.LeftButton, pos=label.rect().center())
    clipboard = QGuiApplication.clipboard()
    if clipboard.supportsSelection():
        assert "\u200b" not in clipboard.text(QClipboard.Mode.Selection)
