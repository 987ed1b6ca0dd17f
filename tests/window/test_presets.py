"""Presets: applied to one conversation, saved, renamed, deleted, there again after a restart."""

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialogButtonBox, QMenu
from pytestqt.qtbot import QtBot

from deepseek_r1.core.i18n import use_language
from r1desk.chat.answers.chat_settings import built_in_presets
from r1desk.performance.presenter import PresetDialog
from r1desk.performance.widgets.panel import PanelTab
from r1desk.performance.widgets.panel_page import PresetRow
from r1desk.shell.session import Session
from r1desk.store import Profile, Store
from window.mouse_and_keys import click, press, press_button, type_text
from window.session_fixture import ready_session, running_session, wait_answered


def opened_row(qtbot: QtBot, session: Session) -> PresetRow:
    qtbot.waitUntil(session.window.isActiveWindow)
    session.window.open_panel(PanelTab.ANSWERS)
    return session.window.panel.preset_row


def names(session: Session) -> list[str]:
    return [each.name for each in session.chat_feature.presets.presets]


def trigger(menu: QMenu, start: str) -> None:
    menu.aboutToShow.emit()
    next(a for a in menu.actions() if a.text().startswith(start)).trigger()


def name_it(qtbot: QtBot, session: Session, name: str) -> None:
    dialog = session.window.findChildren(PresetDialog)[-1]
    qtbot.waitUntil(dialog.isActiveWindow)
    dialog.name.setFocus()
    dialog.name.selectAll()
    type_text(name)
    click(dialog.buttons.button(QDialogButtonBox.StandardButton.Save))
    session.window.activateWindow()  # the offscreen platform leaves no window active
    qtbot.waitUntil(session.window.isActiveWindow)


def test_a_preset_is_chosen_by_its_card_and_the_keyboard_stays_in_the_message(qtbot, own_profile):
    with ready_session(qtbot, own_profile) as session:
        welcome = session.window.chat.welcome
        welcome.show_questions(False)
        click(welcome.preset_cards.cards[1])
        assert [card.isChecked() for card in welcome.preset_cards.cards].index(True) == 1
        assert welcome.preset_button.text() == "Preset: Mathematics ▾"
        type_text("1 + 1?")
        assert session.window.composer.text() == "1 + 1?"


def test_a_preset_is_for_one_conversation(qtbot: QtBot, own_profile: Path) -> None:
    with ready_session(qtbot, own_profile) as session:
        button = session.window.chat.welcome.preset_button
        trigger(button.menu(), "Mathematics")
        assert button.text() == "Preset: Mathematics ▾"
        assert "\\boxed{}" in session.window.chat.instructions.label.text()
        row = opened_row(qtbot, session)
        trigger(row.button.menu(), "Code")
        row.button.menu().aboutToShow.emit()
        assert row.button.menu().actions()[-1].text() == "Save as a preset…"  # it cannot be changed
        trigger(row.button.menu(), "Short")
        assert "three sentences" in session.window.chat.instructions.label.text()
        type_text("Code?")  # the message, not another choice
        assert session.window.composer.text() == "Code?"
        assert row.button.text() == "Short answers ▾"
        press(Qt.Key.Key_Return)
        wait_answered(qtbot, session)
        assert row.button.text() == "Short answers ▾"
        session.chat.new_chat()
        assert session.window.chat.instructions.label.text() == ""
        assert session.preferences.system_prompt == ""
    with Profile.open(own_profile) as profile, Store(profile.database) as store:
        settings = store.conversations.settings(1)
        assert settings.system_prompt == "Answer in at most three sentences."


def test_a_preset_is_saved_changed_renamed_deleted_and_brought_back(qtbot, own_profile):
    with running_session(qtbot, own_profile) as session:
        row = opened_row(qtbot, session)
        session.window.panel.answers.editor.setFocus()
        type_text("Answer like a pirate.")
        qtbot.waitUntil(lambda: session.chat_settings.present[1] == "Answer like a pirate.")
        assert row.button.text() == "Choose a preset… ▾"
        trigger(row.button.menu(), "Save as")
        name_it(qtbot, session, "Pirate")
        assert row.button.text() == "Pirate ▾"
        type_in = session.window.panel.answers.editor
        type_in.setFocus()
        type_text(" Arr!")
        qtbot.waitUntil(lambda: row.button.text() == "Choose a preset… ▾")
        trigger(row.button.menu(), "Save the changes")
        assert row.button.text() == "Pirate ▾"
        trigger(row.button.menu(), "Rename")
        name_it(qtbot, session, "Captain")
        assert row.button.text() == "Captain ▾"
    with running_session(qtbot, own_profile) as session:
        row = opened_row(qtbot, session)
        qtbot.waitUntil(lambda: "Captain" in names(session))
        trigger(row.button.menu(), "Captain")
        assert session.chat_settings.present[1] == "Answer like a pirate. Arr!"
        trigger(row.button.menu(), "Delete")
        assert "Captain" not in names(session)
        press_button(session.window.notices, "Undo")
        assert "Captain" in names(session)


def test_unreadable_presets_are_left_out(qtbot: QtBot, own_profile: Path) -> None:
    with Profile.open(own_profile) as profile, Store(profile.database) as store:
        good = {"name": "Good", "key": "a1"}
        store.key_value.set("presets", [7, {"name": 3}, {"sampling": {"seed": -9}}, good])
    with running_session(qtbot, own_profile) as session:
        qtbot.waitUntil(lambda: any(p.name == "Good" for p in session.chat_feature.presets.presets))
        assert len(session.chat_feature.presets.presets) == len(built_in_presets()) + 1


def test_built_in_presets_speak_the_language_of_the_window() -> None:
    use_language("zh_CN")
    try:
        names = [preset.name for preset in built_in_presets()]
        assert all(any("\u4e00" <= c <= "\u9fff" for c in name) for name in names)
    finally:
        use_language("en")
