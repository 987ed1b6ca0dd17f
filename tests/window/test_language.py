"""Qt's own texts are in the language of the window."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtWidgets import QApplication, QFileDialog, QLabel, QPushButton
from pytestqt.qtbot import QtBot

from deepseek_r1.core.i18n import use_language
from r1desk.shell.desktop_application import install_qt_translations


@pytest.fixture(autouse=True)
def english_afterwards(qapp: QApplication) -> Iterator[None]:
    yield
    use_language("en")
    install_qt_translations(qapp)


def texts_of_a_file_dialog(qtbot: QtBot) -> list[str]:
    dialog = QFileDialog()
    dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
    qtbot.addWidget(dialog)
    parts = [*dialog.findChildren(QLabel), *dialog.findChildren(QPushButton)]
    return [part.text() for part in parts if part.text()]


def test_a_file_dialog_is_in_the_language_of_the_window(qapp: QApplication, qtbot: QtBot) -> None:
    use_language("zh_CN")
    install_qt_translations(qapp)
    found = texts_of_a_file_dialog(qtbot)
    assert found
    assert [text for text in found if not any("\u4e00" <= each <= "\u9fff" for each in text)] == []
    use_language("en")
    install_qt_translations(qapp)
    assert "&Look in:" in texts_of_a_file_dialog(qtbot)
