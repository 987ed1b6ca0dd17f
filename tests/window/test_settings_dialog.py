"""The settings page: each choice is reported at once; another folder for models can be chosen."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot
from shiboken6 import isValid

from deepseek_r1.catalogue import file_rules
from deepseek_r1.core.models_folders import user_models_dir
from deepseek_r1.core.settings import KVType
from r1desk import preferences
from r1desk.performance.widgets.panel import PanelTab
from r1desk.preferences import FILE_NAME, VERSION, Preferences
from r1desk.shell.session import Session
from r1desk.shell.settings_dialog import SettingsDialog
from support.gguf_files import tiny_llama
from window.mouse_and_keys import choose_file, click, press, type_line
from window.session_fixture import ready_session

pytestmark = pytest.mark.qt_log_ignore("This plugin does not support")


class Appearance:
    """Records what is chosen, by the names of the methods."""

    def __init__(self) -> None:
        self.chosen: dict[str, object] = {}

    def __getattr__(self, name: str) -> Callable[[object], None]:
        return partial(self.chosen.__setitem__, name)


def settings(parent: QWidget, folder: Path, appearance: Appearance | None = None) -> SettingsDialog:
    present = Preferences(language="en", theme="dark")
    return SettingsDialog(parent, present, appearance or Appearance(), {"Models": folder})


@pytest.fixture
def appearance() -> Appearance:
    return Appearance()


@pytest.fixture
def dialog(qtbot: QtBot, tmp_path: Path, appearance: Appearance) -> Iterator[SettingsDialog]:
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = settings(parent, tmp_path, appearance)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    dialog.show()
    qtbot.waitExposed(dialog)
    yield dialog
    parent.close()


def test_the_palette_finds_what_the_settings_and_the_panel_have(qtbot, ready):
    def find(words: str) -> None:
        ready.window.palette_action.trigger()
        type_line(words)

    ready.window.activateWindow()
    qtbot.waitUntil(ready.window.isActiveWindow)
    find("dark theme")
    assert ready.preferences.theme == "dark"
    for words, key in (("budget", "memory_budget"), ("top-k", "top_k"), ("precision", "kv_type")):
        find(words)
        row = ready.window.panel.rows[key]
        assert row.controls[0].hasFocus(), words
        qtbot.waitUntil(row.isVisible)
    old = ready.window
    ready.window.palette_action.trigger()
    ready.window.palette_list.field.setText("简体")  # no key has these letters
    press(Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: ready.window is not old and ready.window.updatesEnabled())
    assert ready.window.sidebar.new_button.text() == "新对话"


def test_the_settings_lead_on_to_those_beside_the_chat(qtbot, ready):
    ready.window.settings_action.trigger()
    (dialog,) = ready.window.findChildren(SettingsDialog)
    qtbot.waitUntil(dialog.isVisible)
    click(dialog.panel_button)
    assert ready.window.panel.pages[PanelTab.MODEL].isVisible()
    qtbot.waitUntil(lambda: not isValid(dialog))


def test_it_shows_what_is_in_force(dialog: SettingsDialog) -> None:
    assert dialog.language.currentText() == "English"
    assert dialog.theme.currentText() == "Dark"
    assert dialog.text_size.currentData() == 0


@pytest.mark.parametrize(
    ("control", "preference", "value"),
    [
        ("theme", "set_theme", "high_contrast"),
        ("text_size", "set_text_size", 8),
        ("reading_width", "set_width", "wide"),
        ("unload_after", "set_unload_time", 5),
        ("language", "set_language", "zh_CN"),
    ],
)
def test_a_choice_by_keyboard_is_reported(dialog, appearance, qtbot, control, preference, value):
    combo = getattr(dialog, control)
    combo.setFocus()
    qtbot.keyClick(combo, Qt.Key.Key_Down)
    assert appearance.chosen == {preference: value}


def open_settings(session: Session) -> SettingsDialog:
    session.window.settings_action.trigger()
    return session.window.findChild(SettingsDialog)


def choose(dialog: SettingsDialog, folder: Path) -> None:
    """Click the button and pick a folder in the system's dialog."""
    click(dialog.change_folder)
    choose_file(dialog, folder)


def test_a_chosen_folder_takes_new_downloads_and_moves_nothing(qtbot, own_profile, tmp_path):
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
        assert "stay where they are" in dialog.folder_note.text()
        assert model.exists()
        click(dialog.default_folder)
        qtbot.waitUntil(lambda: session.downloads.folder == old)
        qtbot.waitUntil(lambda: not dialog.default_folder.isVisible())


def test_a_folder_that_cannot_be_used_is_refused_with_a_sentence(
    qtbot: QtBot, ready: Session, own_profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialog = open_settings(ready)
    choose(dialog, Path("/proc"))
    qtbot.waitUntil(lambda: "cannot be used" in dialog.folder_note.text())
    monkeypatch.setattr(file_rules, "LEAST_FREE_BYTES", 1 << 60)
    choose(dialog, tmp_path)
    qtbot.waitUntil(lambda: "GB free" in dialog.folder_note.text())
    assert user_models_dir() == own_profile / "models"
    assert ready.downloads.folder == own_profile / "models"


@pytest.mark.parametrize(
    ("version", "setting", "before", "now"),
    [
        (1, "context_length", 4096, 0),
        (1, "context_length", 2048, 2048),
        (2, "context_length", 4096, 4096),
        (1, "kv_type", "f16", KVType.AUTO),
        (2, "kv_type", "f16", KVType.AUTO),
        (2, "kv_type", "q4_0", KVType.Q4_0),
        (3, "kv_type", "f16", KVType.F16),
    ],
)
def test_a_former_default_becomes_automatic(tmp_path, version, setting, before, now):
    text = json.dumps({"version": version, "load": {setting: before}})
    (tmp_path / FILE_NAME).write_text(text, encoding="utf-8")
    found, damaged = preferences.load(tmp_path)
    assert damaged is None
    assert (found.version, getattr(found.load, setting)) == (VERSION, now)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[]",
        b'{"theme": "plaid"}',
        b'{"text_size_pt": 1000000000}',
        b'{"load": {"memory_budget": -1}}',
        b'{"sampling": {"temperature": NaN}}',
        b'{"recent_models": "all"}',
        b'{"system_prompt',
    ],
)
def test_damaged_settings_are_set_aside_unchanged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    found, aside = preferences.load(tmp_path)
    assert found == Preferences(version=VERSION)
    assert aside is not None
    assert aside.match("preferences.damaged-*.json")
    assert aside.read_bytes() == content
    assert not (tmp_path / FILE_NAME).exists()
