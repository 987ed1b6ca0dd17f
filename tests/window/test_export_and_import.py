"""Export and import through the menus, as a person reaches them."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QToolButton
from pytestqt.qtbot import QtBot

from r1desk.conversations.conversation_intents import ExportConversations
from r1desk.shell.session import Session
from window.session_fixture import notice_text, running_session
from window.stored_conversations import store_conversation


def choose(session: Session, start: str, file: Path) -> None:
    """Choose an entry of the menu below the list, then a file in the dialog that opens."""
    more = next(
        button
        for button in session.window.sidebar.findChildren(QToolButton)
        if button.accessibleName() == "Export and import"
    )
    next(a for a in more.menu().actions() if a.text().startswith(start)).trigger()
    dialog = session.window.findChildren(QFileDialog)[-1]
    dialog.fileSelected.emit(str(file))
    dialog.reject()


def wait_notice(qtbot: QtBot, session: Session, text: str) -> None:
    qtbot.waitUntil(lambda: text in notice_text(session))


def test_all_conversations_are_exported_by_the_menu(
    qtbot: QtBot, own_profile: Path, tmp_path: Path
) -> None:
    store_conversation(own_profile, "Roots?", "They are \\(x = \\pm 2\\).")
    store_conversation(own_profile, "Bananas?", "Yellow.")
    with running_session(qtbot, own_profile) as session:
        session.window.sidebar.requested.emit(ExportConversations())
        dialog = session.window.findChild(QFileDialog)  # for another computer, unless chosen
        assert dialog.selectedNameFilter().endswith("(*.json)")
        assert dialog.defaultSuffix() == "json"
        dialog.reject()
        for suffix in ("md", "json", "html", "pdf"):
            choose(session, "Export all", tmp_path / f"all.{suffix}")
            wait_notice(qtbot, session, f"Exported to all.{suffix} in {tmp_path}.")
            data = (tmp_path / f"all.{suffix}").read_bytes()
            if suffix == "pdf":
                assert data.startswith(b"%PDF")
            else:
                assert b"Bananas?" in data
                assert b"pm 2" in data


def test_an_export_is_imported_by_the_menu(qtbot: QtBot, own_profile: Path, tmp_path: Path) -> None:
    store_conversation(own_profile, "Bananas?", "Yellow.")
    file = tmp_path / "all.json"
    with running_session(qtbot, own_profile) as session:
        choose(session, "Export all", file)
        wait_notice(qtbot, session, "Exported to")
        choose(session, "Import", file)
        wait_notice(qtbot, session, "0 conversations imported. 1 was here already.")
        file.write_text(file.read_text(encoding="utf-8").replace("Yellow.", "Green."), "utf-8")
        choose(session, "Import", file)
        wait_notice(qtbot, session, "1 conversation imported")
        qtbot.waitUntil(lambda: session.chat.shown_branch[-1].content == "Green.")
