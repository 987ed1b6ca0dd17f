"""The window over time: restarts, its menus, a change of language; nothing of it outlives it."""

from functools import partial
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
    QWidgetItem,
)
from pytestqt.qtbot import QtBot
from shiboken6 import getAllValidWrappers

from deepseek_r1.core.i18n import use_language
from r1desk.comparison.widgets.comparison_dialog import ComparisonDialog
from r1desk.models.widgets.chooser import ModelChooser
from r1desk.performance.feature import PerformanceFeature
from r1desk.platform.qt_application import install_qt_translations
from r1desk.shell import main_window
from r1desk.shell.main_window import MainWindow
from r1desk.shell.settings_dialog import SettingsDialog
from r1desk.theme.theme import find_theme
from r1desk.widgets.layouts import put_inside
from r1desk.widgets.notice_bar import Level, Notice
from window.mouse_and_keys import press, type_line
from window.session_fixture import (
    ask_and_wait,
    first_start,
    ready_session,
    running_session,
    short_answers,
    texts,
)


def test_everything_is_found_again_after_a_restart(qtbot: QtBot, own_profile: Path) -> None:
    with ready_session(qtbot, own_profile, short_answers) as session:
        ask_and_wait(qtbot, session, "Tell me about zebras.")
        before = texts(session)
        qtbot.keyClicks(session.window.composer.editor, "half a thou")
    with running_session(qtbot, own_profile) as session:
        qtbot.waitUntil(lambda: len(session.chat.shown_branch) == 2)
        assert texts(session) == before
        qtbot.waitUntil(lambda: session.window.composer.text() == "half a thou")
        assert session.preferences.sampling.max_tokens == 48
        session.window.sidebar.search.setText("zebra")
        rows = session.window.sidebar.list.model()
        qtbot.waitUntil(lambda: rows.rowCount() == 1)
        assert "zebra" in rows.index(0, 0).data().lower()


def test_the_language_changes_under_a_running_conversation(qtbot: QtBot, own_profile: Path) -> None:
    with running_session(qtbot, own_profile, short_answers) as session:
        ask_and_wait(qtbot, session, "Hello")
        before = texts(session)
        old = session.window
        session.window.notices.show_notice(Notice("Writing…", Level.WORK))
        qtbot.waitUntil(lambda: old.gauge.values is not None)
        session.window.settings_action.trigger()
        for key in (Qt.Key.Key_Down, Qt.Key.Key_End):  # by another language
            qtbot.keyClick(QApplication.activeModalWidget().language, key)
        qtbot.waitUntil(lambda: session.window is not old)
        assert session.window.gauge.values is not None, "the strip is not empty"
        assert session.window.notices.text == "Writing…"
        qtbot.waitUntil(lambda: session.window.findChild(SettingsDialog) is not None)  # a new one
        qtbot.waitUntil(session.window.updatesEnabled)
        (dialog,) = session.window.findChildren(SettingsDialog)
        dialog.reject()
        qtbot.waitUntil(lambda: texts(session) == before)
        assert session.window.sidebar.new_button.text() == "新对话"
        session.set_language("en")
        qtbot.waitUntil(lambda: session.window.sidebar.new_button.text() == "New chat")
        qtbot.waitUntil(session.window.updatesEnabled)  # it has its style: no turn is left


def test_every_entry_of_the_menu_leads_somewhere(qtbot: QtBot, own_profile: Path) -> None:
    with ready_session(qtbot, own_profile, short_answers) as session:
        window = session.window
        actions = (window.about_action, window.shortcuts_action, window.models_action)
        for action in (*actions, window.settings_action, window.doctor_action):
            action.trigger()
            qtbot.waitUntil(lambda: QApplication.activeModalWidget() is not None)
            dialog = QApplication.activeModalWidget()
            assert isinstance(dialog, QDialog)
            if isinstance(dialog, SettingsDialog):
                assert dialog.focusWidget() is dialog.language
            dialog.reject()
        window.activateWindow()  # a dialog leaves no window active on the offscreen platform
        qtbot.waitUntil(window.isActiveWindow)
        control = Qt.KeyboardModifier.ControlModifier
        press(Qt.Key.Key_Equal, control)
        wanted = session.preferences.text_size_pt
        qtbot.waitUntil(lambda: QApplication.font().pointSize() == wanted)
        press(Qt.Key.Key_0, control)
        assert session.preferences.text_size_pt == 0
        window.panel_action.trigger()
        assert window.panel.isVisible()
        press(Qt.Key.Key_P, control)
        type_line("search ch")
        assert window.focusWidget() is window.sidebar.search


def test_a_dialog_whose_keys_are_pressed_twice_opens_once(qtbot, ready):
    for keys, kind in (("Ctrl+O", ModelChooser), ("Ctrl+Shift+M", ComparisonDialog)):
        combination = QKeySequence(keys)[0]
        ready.window.activateWindow()
        qtbot.waitUntil(ready.window.isActiveWindow)
        for _ in range(2):
            press(combination.key(), combination.keyboardModifiers())
        qtbot.waitUntil(lambda: QApplication.activeModalWidget() is not None)
        qtbot.wait(100)
        (dialog,) = ready.window.findChildren(kind)
        dialog.reject()


def test_an_open_panel_beside_the_sidebar_is_found_so_again_after_a_restart(
    qtbot: QtBot, own_profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main_window, "LEAST_CHAT_PX", 100)  # the tests' screen is 800 wide
    with running_session(qtbot, own_profile, short_answers) as session:
        session.window.resize(800, 680)
        session.window.panel_action.trigger()
        session.window.gauge.all_button.click()
        assert session.window.sidebar.isVisible()
    with running_session(qtbot, own_profile) as session:
        assert session.window.gauge.all_button.isChecked()
        assert session.window.panel.isVisible()
        assert session.window.sidebar.isVisible()


def test_no_widget_of_an_earlier_window_is_left(qtbot, ready, monkeypatch):
    """And the heap is given back when the last of them is gone, not before."""
    qtbot.wait(300)
    before = len(QApplication.allWidgets())
    left: list[int] = []
    monkeypatch.setattr(
        "r1desk.shell.session.return_free_memory",
        lambda: left.append(len(QApplication.allWidgets())),
    )
    others = set(_windows()) - {ready.window}
    for language in ("zh_CN", "en", "zh_CN", "en"):
        old = ready.window
        ready.set_language(language)
        qtbot.waitUntil(lambda old=old: ready.window is not old)
    qtbot.waitUntil(lambda: set(_windows()) - others == {ready.window})
    qtbot.waitUntil(lambda: len(QApplication.allWidgets()) <= before * 1.05)
    qtbot.waitUntil(lambda: len(left) == 4)
    assert left[-1] <= before * 1.05


def looks(window: QWidget) -> dict[int, tuple[object, ...]]:
    return {
        id(each): (each.font(), each.palette(), each.minimumHeight())
        for each in (window, *window.findChildren(QWidget))
        if not each.objectName().startswith("qt_s")  # never seen parts of Qt's own
    }


def test_what_a_shown_window_takes_up_in_turns_is_what_qt_does_at_once(qtbot, ready):
    window, appearance = ready.window, ready.appearance
    window.panel_action.trigger()
    qtbot.waitUntil(window.panel.isVisible)
    # From here on no number changes, and no size with it.
    next(each for each in ready.features if isinstance(each, PerformanceFeature)).sampler.stop()
    qtbot.waitUntil(lambda: "long answers" in window.panel.context.text.text())
    changes = (
        partial(appearance.step_text_size, 1),
        partial(appearance.set_theme, "dark"),
        partial(appearance.step_text_size, -1),
        partial(appearance.set_theme, "light"),
    )
    for change in changes:
        change()
        qtbot.waitUntil(window.updatesEnabled)
        qtbot.wait(50)  # the layouts
        taken_up = looks(window)
        find_theme(QApplication.instance()).restyle()
        qtbot.wait(50)
        assert taken_up == looks(window)


def _windows() -> list[MainWindow]:
    """All main windows, those of earlier tests too."""
    return [w for w in QApplication.topLevelWidgets() if isinstance(w, MainWindow)]


def items() -> set[int]:
    return {id(each) for each in getAllValidWrappers() if isinstance(each, QWidgetItem)}


def test_the_whole_window_holds_no_items_of_layouts(qtbot: QtBot, tmp_path: Path) -> None:
    before = items()
    with ready_session(qtbot, tmp_path / "profile", first_start) as session:
        for width in (780, 1366):  # the welcome's questions change their places
            session.window.resize(width, 700)
            qtbot.wait(50)
        window = session.window
        for action in (window.about_action, window.shortcuts_action, window.models_action):
            action.trigger()
            qtbot.waitUntil(lambda: QApplication.activeModalWidget() is not None)
            QApplication.activeModalWidget().reject()
        assert items() <= before


def test_only_an_empty_layout_is_put_inside(qtbot: QtBot) -> None:
    outer = QWidget()
    qtbot.addWidget(outer)
    filled = QHBoxLayout()
    filled.addWidget(QWidget())
    with pytest.raises(ValueError, match="filled after"):
        put_inside(QVBoxLayout(outer), filled)


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
