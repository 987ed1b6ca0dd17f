"""Another folder for models, chosen in the settings: checked, used at once, nothing moved."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from deepseek_r1.catalogue import file_rules
from deepseek_r1.core.models_folders import user_models_dir
from r1desk.shell.session import Session
from r1desk.shell.settings_dialog import SettingsDialog
from support.gguf_files import tiny_llama
from window.mouse_and_keys import click
from window.session_fixture import ready_session


def open_settings(session: Session) -> SettingsDialog:
    session.window.settings_action.trigger()
    return session.window.findChild(SettingsDialog)


def choose(dialog: SettingsDialog, folder: Path) -> None:
    """Click the button and pick a folder in the system's dialog."""
    click(dialog.change_folder)
    picker = dialog.findChild(QFileDialog)
    picker.fileSelected.emit(str(folder))
    picker.reject()


def test_a_chosen_folder_takes_new_downloads_and_moves_nothing(
    qtbot: QtBot, own_profile: Path, tmp_path: Path
) -> None:
    old = own_profile / "models"
    old.mkdir(parents=True)
    model = tiny_llama(old / "old.gguf")
    other = tmp_path / "other"
    other.mkdir()
    with ready_session(qtbot, own_profile) as session:
        dialog = open_settings(session)
        assert not dialog.default_folder.isVisible()
        choose(dialog, other)
        qtbot.waitUntil(lambda: session.downloads.folder == other)
        assert user_models_dir() == other
        assert "Nothing was moved" in dialog.folder_note.text()
        assert model.exists()
        click(dialog.default_folder)
        qtbot.waitUntil(lambda: session.downloads.folder == old)
        qtbot.waitUntil(lambda: not dialog.default_folder.isVisible())


def test_a_folder_that_cannot_be_used_is_refused_with_a_sentence(
    qtbot: QtBot, own_profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ready_session(qtbot, own_profile) as session:
        dialog = open_settings(session)
        choose(dialog, Path("/proc"))
        qtbot.waitUntil(lambda: "cannot be used" in dialog.folder_note.text())
        monkeypatch.setattr(file_rules, "LEAST_FREE_BYTES", 1 << 60)
        choose(dialog, tmp_path)
        qtbot.waitUntil(lambda: "MB are free" in dialog.folder_note.text())
        assert user_models_dir() == own_profile / "models"
        assert session.downloads.folder == own_profile / "models"
