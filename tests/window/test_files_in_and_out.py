"""Files attached to a message, sent and looked at again; conversations exported and imported."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtWidgets import (
    QApplication,
    QComboBox,
    QFileDialog,
    QInputDialog,
    QMessageBox,
    QToolButton,
)
from pytestqt.qtbot import QtBot

from deepseek_r1.documents.document import Document
from deepseek_r1.documents.page_drawing import DrawnPage, PageDrawer
from deepseek_r1.host.protocol import GenerateRequest
from r1desk.chat.context import file_reader
from r1desk.chat.messages.document_pane import DocumentPane
from r1desk.chat.presenters.document_lists import DocumentsDialog
from r1desk.chat.presenters.document_presenter import PassagesDialog
from r1desk.chat.presenters.prompt_library import PromptDialog
from r1desk.chat.text.attachment_chip import AttachmentRow
from r1desk.chat.values.intents import SavePrompt
from r1desk.conversations.conversation_intents import (
    ExportConversations,
    PurgeConversations,
    TrashConversations,
)
from r1desk.performance.widgets.panel import PanelTab
from r1desk.shell.session import Session
from r1desk.store import FolderInfo, Profile, Store
from r1desk.store.prompt_store import PromptFile, SavedPrompt
from support.awaiting import result_of
from support.document_files import locked_pdf, pdf, pdf_lines, scan
from support.engine_script import EngineScript, reads, waits_for
from support.hostile_server import QUICK, HostileServer
from window.mouse_and_keys import (
    choose_file,
    click,
    click_row,
    drop,
    files_of,
    press,
    press_button,
    type_line,
    type_text,
)
from window.session_fixture import (
    ask,
    ask_and_wait,
    notice_text,
    ready_session,
    running_session,
    wait_answered,
)
from window.stored_conversations import store_conversation


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    file = tmp_path / "notes.md"
    file.write_text("# Notes", encoding="utf-8")
    return file


def labels(session: Session) -> list[str]:
    return [chip.open_button.text() for chip in session.window.composer.attachments.chips]


def wait_chips(qtbot: QtBot, session: Session, count: int) -> None:
    """Until so many files were read."""
    qtbot.waitUntil(
        lambda: len(labels(session)) == count and "Reading…" not in " ".join(labels(session))
    )


def open_document(qtbot: QtBot, session: Session, file: Path | None) -> DocumentPane:
    """Drop a file, and click its chip, until its first page is drawn; None: one that is there."""
    if file is not None:
        drop(session.window, file)
    wait_chips(qtbot, session, 1)
    click(session.window.composer.attachments.chips[0].open_button)
    pane = session.window.document
    qtbot.waitUntil(lambda: not pane.sheet.picture.pixmap().isNull())
    return pane


@pytest.fixture
def may_read(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, threading.Event]]:
    """Files by their names, each of which is read only once its event is set."""
    held, read = dict[str, threading.Event](), file_reader.read_document

    def slowly(file: Path, **how: Any) -> Document:
        assert file.name not in held or held[file.name].wait(60)
        return read(file, **how)

    monkeypatch.setattr(file_reader, "read_document", slowly)
    yield held
    for each in held.values():
        each.set()


def test_dropped_files_go_to_the_model_with_the_question(qtbot, own_profile, tmp_path):
    table = tmp_path / "prices.csv"
    table.write_text("fruit,price\napple,3\n", encoding="utf-8")
    with ready_session(qtbot, own_profile) as session:
        drop(session.window, table)
        type_line("Which?")  # while it is being read
        wait_answered(qtbot, session)
        question, answer = session.chat.shown_branch
        assert question.content == "Which?"
        assert [a.name for a in question.attachments] == ["prices.csv"]
        assert answer.stats.prompt_tokens > question.attachments[0].tokens > 5
        assert answer.sources.whole
        assert answer.sources.documents == (question.attachments[0].sha256,)
        qtbot.waitUntil(lambda: labels(session)[0].endswith("Read"))  # it stays
        assert labels(session)[0].startswith("prices.csv · about ")
        rows = session.window.chat.view(question.id).findChildren(AttachmentRow)
        row = next(r for r in rows if r.isVisible())
        click(row.chips[0].open_button)
        pane = session.window.document
        qtbot.waitUntil(lambda: "apple" in pane.field.toPlainText())
        press(Qt.Key.Key_Escape)
        assert not pane.isVisible()
    with running_session(qtbot, own_profile) as session:  # it is stored
        qtbot.waitUntil(lambda: bool(session.chat.shown_branch))
        assert session.chat.shown_branch[0].attachments == question.attachments


@pytest.mark.parametrize("returns_first", [False, True])
def test_a_file_is_read_on_while_another_chat_is_shown(
    qtbot, own_profile, engine, notes, may_read, returns_first
):
    may_end = may_read["long.md"] = threading.Event()
    (long := notes.with_name("long.md")).write_text("# Long", encoding="utf-8")
    with ready_session(qtbot, own_profile, engine=engine) as session:
        readings = session.chat_feature.documents.files
        ask(qtbot, session, "First")
        drop(session.window, long)  # the chat is being stored
        wait_answered(qtbot, session)
        drop(session.window, notes)
        qtbot.waitUntil(lambda: len(readings.readings) == 1)
        type_line("What is noted?")  # it is kept: the chat is left before the file is read
        press(Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)
        qtbot.waitUntil(lambda: not labels(session))
        type_text("Another matter")
        if not returns_first:
            may_end.set()
            qtbot.waitUntil(lambda: not readings.readings)
            assert labels(session) == []
        click_row(session.window.sidebar.list, "First")
        qtbot.waitUntil(lambda: len(labels(session)) == 2)
        assert ("Reading…" in labels(session)[-1]) == returns_first
        may_end.set()
        wait_chips(qtbot, session, 2)
        assert [each.split(" ")[0] for each in labels(session)] == ["notes.md", "long.md"]
        assert session.window.composer.text() == "What is noted?"


def test_a_pdf_is_shown_beside_the_chat_as_it_is_drawn_and_esc_closes_it(
    qtbot, own_profile, tmp_path, engine, monkeypatch
):
    drawn, draw = list[int](), PageDrawer.draw

    def noting(self: PageDrawer, page: int, *how: Any) -> DrawnPage:
        drawn.append(page)
        return draw(self, page, *how)

    monkeypatch.setattr(PageDrawer, "draw", noting)
    (file := tmp_path / "gates.pdf").write_bytes(pdf([pdf_lines("Gate 1"), pdf_lines("Gate 2")]))
    with ready_session(qtbot, own_profile, engine=engine) as session:
        pane = open_document(qtbot, session, file)
        assert (pane.page.value(), pane.page.suffix()) == (1, " / 2")
        qtbot.waitUntil(lambda: drawn[-1] == 2)  # before it is wanted
        session.window.keep_layout(session.preferences)
        assert not session.preferences.panel_visible  # it is open for the document alone
        press(Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
        type_text("gate 2")
        press(Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: pane.page.value() == 2)
        session.window.resize(1_000, 600)
        assert session.window.composer.isVisible()
        session.window.resize(760, 500)
        assert not session.window.composer.isVisible()  # it lies over the chat
        press(Qt.Key.Key_Escape)
        assert not session.window.panel.isVisible()
        assert session.window.composer.isVisible()
        type_text("And now?")
        assert session.window.composer.text() == "And now?"


def test_beside_an_open_document_one_types_on_in_the_message_box_and_esc_there_closes_it(
    qtbot, ready, tmp_path
):
    (file := tmp_path / "gates.pdf").write_bytes(pdf([pdf_lines("Gate 1")]))
    ready.window.resize(1_300, 700)
    pane = open_document(qtbot, ready, file)
    ready.window.activateWindow()
    qtbot.waitUntil(ready.window.isActiveWindow)
    press(Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    assert pane.find_field.hasFocus()
    assert not ready.window.chat.find_bar.isVisible()
    pane.setFocus()
    type_text("And gate 2?")
    assert ready.window.composer.text() == "And gate 2?"
    assert not pane.find_field.text()
    press(Qt.Key.Key_Escape)
    assert not pane.isVisible()


def test_a_document_leaves_the_panel_as_wide_as_it_was(qtbot, own_profile, tmp_path):
    (file := tmp_path / "gates.pdf").write_bytes(pdf([pdf_lines("Gate 1")]))
    with ready_session(qtbot, own_profile) as session:
        session.window.resize(1_300, 700)
        session.window.panel_action.setChecked(True)
        qtbot.waitUntil(lambda: session.window.splitter.sizes()[2] > 0)
        sizes = session.window.splitter.sizes()
        open_document(qtbot, session, file)
        qtbot.waitUntil(lambda: session.window.splitter.sizes()[2] > sizes[2])
        press(Qt.Key.Key_Escape)
        assert session.window.splitter.sizes() == sizes


def test_the_list_of_chats_is_back_when_the_document_goes_with_its_chat_and_after_a_restart(
    qtbot, own_profile, notes
):
    def open_notes(session: Session) -> None:
        wait_chips(qtbot, session, 1)
        session.window.resize(1_230, 700)
        click(session.window.composer.attachments.chips[0].open_button)
        qtbot.waitUntil(session.window.document.field.isVisible)
        assert not session.window.sidebar.isVisible()  # the document has its width

    with ready_session(qtbot, own_profile) as session:
        ask_and_wait(qtbot, session, "Hello")
        drop(session.window, notes)
        open_notes(session)
        session.window.activateWindow()
        session.window.open_panel(PanelTab.ANSWERS)
        assert session.window.sidebar.isVisible()
        open_notes(session)
        press(Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)
        qtbot.waitUntil(lambda: not session.window.document.isVisible())
        assert session.window.sidebar.isVisible()
        assert not session.window.panel.isVisible()
        click_row(session.window.sidebar.list, "Hello")
        open_notes(session)
    with running_session(qtbot, own_profile) as session:  # it was closed beside a document
        assert session.window.sidebar.isVisible()


def test_the_words_of_a_picture_are_found_on_it(qtbot, own_profile, tmp_path, engine):
    scan("Gate 45 is closed.", "Platform nine has a red roof.").save(tmp_path / "sign.png")
    with ready_session(qtbot, own_profile, engine=engine) as session:
        pane = open_document(qtbot, session, tmp_path / "sign.png")
        assert pane.note.text().startswith("Read from a picture · 9")
        before = pane.sheet.picture.pixmap().toImage()
        press(Qt.Key.Key_F3)
        type_text("red roof")
        press(Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: pane.sheet.picture.pixmap().toImage() != before)
        shown = pane.sheet.picture.pixmap().toImage()
        assert any(
            shown.pixelColor(x, y).blue() < shown.pixelColor(x, y).green() - 50
            for x in range(0, shown.width(), 5)
            for y in range(0, shown.height(), 5)
        )


def test_a_web_page_is_read_at_a_click_and_its_address_is_its_name(
    qtbot, own_profile, no_proxy, engine
):
    page = b"<title>T</title><nav>Home</nav><p>The warden of gate 44 is Ann."
    server = HostileServer(lambda _, reply: reply.file(page, extra=("Content-Type: text/html",)))
    with server.running(), ready_session(qtbot, own_profile, engine=engine) as session:
        composer = session.window.composer
        assert not composer.read_page.isVisible()
        type_text(f"{server.url}/gates")
        qtbot.waitUntil(composer.read_page.isVisible)
        press_button(composer, "Read this page")  # an address of this computer
        qtbot.waitUntil(lambda: "inside your own network" in notice_text(session))
        qtbot.waitUntil(composer.read_page.isVisible)  # once that reading has ended
        assert not server.requests
        session.chat_feature.documents.files.policy = QUICK
        press_button(composer, "Read this page")
        wait_chips(qtbot, session, 1)
        assert labels(session)[0].startswith(f"127.0.0.1:{server.port}/gates (")
        assert composer.text() == ""
        assert not composer.read_page.isVisible()
        type_line("Who is the warden?")
        qtbot.waitUntil(lambda: bool(engine.received(GenerateRequest)))
        prompt = engine.received(GenerateRequest)[0].messages
        assert "The warden of gate 44 is Ann." in str(prompt)
        assert "Home" not in str(prompt)
        assert f"Document: 127.0.0.1:{server.port}/gates (" in str(prompt)
        assert len(server.requests) == 1


def wait_password_wanted(qtbot: QtBot, text: str) -> None:
    """Until a dialog with this text asks for a password."""

    def shown() -> list[str]:
        dialogs = [each for each in QApplication.topLevelWidgets() if each.isVisible()]
        return [each.labelText() for each in dialogs if isinstance(each, QInputDialog)]

    qtbot.waitUntil(lambda: any(text in each for each in shown()))


def test_a_locked_pdf_asks_for_its_password_until_it_is_right_or_the_file_left_out(
    qtbot, own_profile, tmp_path, engine
):
    (one := tmp_path / "lease.pdf").write_bytes(locked_pdf("geheim-7", "The code is 4711."))
    (two := tmp_path / "offer.pdf").write_bytes(locked_pdf("another", "The price is 12."))
    with ready_session(qtbot, own_profile, engine=engine) as session:
        drop(session.window, one, two)
        wait_password_wanted(qtbot, "lease.pdf could not be opened. It is password-protected.")
        type_line("geheim-8")
        wait_password_wanted(qtbot, "offer.pdf could not be opened.")
        press(Qt.Key.Key_Escape)
        qtbot.waitUntil(lambda: "offer.pdf could not be opened." in notice_text(session))
        wait_password_wanted(qtbot, "lease.pdf could not be opened. The password is wrong.")
        type_line("geheim-7")
        wait_chips(qtbot, session, 1)
        assert labels(session)[0].startswith("lease.pdf")
    kept = [each for each in own_profile.rglob("*") if each.is_file()]
    assert not any(b"geheim-" in each.read_bytes() for each in kept)


def test_a_locked_pdf_of_a_folder_is_refused_and_asks_nothing(qtbot, own_profile, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "lease.pdf").write_bytes(locked_pdf("geheim-7", "4711"))
    with ready_session(qtbot, own_profile) as session:
        drop(session.window, tmp_path / "folder")
        qtbot.waitUntil(lambda: "It is password-protected." in notice_text(session))
        assert not [e for e in QApplication.topLevelWidgets() if isinstance(e, QInputDialog)]


def test_a_file_whose_reading_was_stopped_says_how_much_of_it_was_read_and_can_be_read_on(
    qtbot: QtBot, own_profile: Path, tmp_path: Path, engine: EngineScript
) -> None:
    engine.answers(reads(0.5), waits_for(engine.gate("the rest")))
    story = tmp_path / "story.txt"
    story.write_text("Oak and stone. " * 400, encoding="utf-8")
    with ready_session(qtbot, own_profile, engine=engine) as session:
        drop(session.window, story)
        wait_chips(qtbot, session, 1)
        type_line("Which?")
        qtbot.waitUntil(lambda: session.chat.answer is not None)
        qtbot.waitUntil(lambda: bool(engine.received(GenerateRequest)))
        press(Qt.Key.Key_Escape)
        qtbot.waitUntil(lambda: session.chat.shown_branch[-1].state == "stopped")
        qtbot.waitUntil(lambda: "% read" in labels(session)[0])
        assert "Read" not in labels(session)[0]
        (chip,) = session.window.composer.attachments.chips
        names = [button.accessibleName() for button in chip.buttons]
        assert "Read story.txt now" in names


def test_a_file_is_read_whole_by_a_model_that_has_to_be_loaded_again(qtbot, own_profile, notes):
    with ready_session(qtbot, own_profile) as session:
        session.models.unload()
        qtbot.waitUntil(lambda: session.models.facts is None)
        drop(session.window, notes)
        wait_chips(qtbot, session, 1)
        type_line("Which?")
        wait_answered(qtbot, session)
        assert session.chat.shown_branch[1].sources.whole


def test_files_are_pasted_chosen_with_the_keyboard_and_removed(qtbot, session, notes):
    composer = session.window.composer
    qtbot.waitUntil(session.window.isActiveWindow)
    composer.setFocus()
    other = notes.with_name("other.txt")
    other.write_text("Other.", encoding="utf-8")
    QGuiApplication.clipboard().setMimeData(files_of(notes, other))
    press(Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
    wait_chips(qtbot, session, 2)
    assert composer.text() == ""  # not its path
    remove = composer.attachments.chips[0].findChildren(QToolButton)[-1]
    assert remove.accessibleName() == "Remove notes.md"
    click(remove)
    wait_chips(qtbot, session, 1)
    press(Qt.Key.Key_U, Qt.KeyboardModifier.ControlModifier)
    dialog = session.window.findChild(QFileDialog)
    assert dialog.findChild(QComboBox, "fileTypeCombo").currentText() == "Documents, text and code"
    dialog.filesSelected.emit([str(notes)])
    dialog.reject()
    wait_chips(qtbot, session, 2)
    assert session.window.focusWidget() is composer.editor


def test_attached_files_are_part_of_the_draft(qtbot: QtBot, own_profile: Path, notes: Path) -> None:
    store_conversation(own_profile, "Apples?", "Red.")
    with running_session(qtbot, own_profile) as session:
        qtbot.waitUntil(lambda: bool(session.chat.shown_branch))
        drop(session.window, notes)
        wait_chips(qtbot, session, 1)
        click(session.window.sidebar.new_button)
        assert labels(session) == []
    with running_session(qtbot, own_profile) as session:
        assert labels(session) == []
        session.chat.open(1)
        wait_chips(qtbot, session, 1)


def test_the_text_of_a_file_goes_with_the_message_or_the_chat_that_had_it(
    qtbot: QtBot, own_profile: Path, notes: Path
) -> None:
    key = store_conversation(own_profile, "Apples?", "Red.")
    with running_session(qtbot, own_profile) as session:
        qtbot.waitUntil(lambda: bool(session.chat.shown_branch))
        index = session.chat_feature.documents.index
        for text in ("# Notes", "# Other notes"):
            notes.write_text(text, encoding="utf-8")
            drop(session.window, notes)
            wait_chips(qtbot, session, 1)
            assert len(index.documents()) == 1
            if text == "# Notes":
                click(session.window.composer.attachments.chips[0].buttons[-1])
            else:
                session.window.sidebar.requested.emit(TrashConversations((key,)))
                qtbot.waitUntil(lambda: not session.chat.shown_branch)
                session.window.sidebar.requested.emit(PurgeConversations((key,)))
                press_button(session.window.findChildren(QMessageBox)[-1], "Delete")
            qtbot.waitUntil(lambda: index.documents() == [])


def test_many_files_leave_the_conversation_its_place(qtbot, session, tmp_path):
    files = [tmp_path / f"a_file_with_a_name_of_some_length_{n}.txt" for n in range(5)]
    session.window.resize(720, 480)
    for file in files:
        file.write_text(f"text of {file.name}", encoding="utf-8")
    drop(session.window, files[0])
    drop(session.window, *files[1:])  # before the first is there
    assert labels(session)[1].startswith("4 files")
    wait_chips(qtbot, session, 1)
    assert labels(session)[0].startswith("5 documents · about ")
    chips = session.window.composer.attachments.chips
    click(chips[0].open_button)
    wait_chips(qtbot, session, 6)
    assert session.window.composer.height() < session.window.height() / 2
    assert session.window.composer.attachments.chips[0].isVisible()
    click(session.window.composer.attachments.chips[0].open_button)
    wait_chips(qtbot, session, 1)


def test_a_picture_that_is_pasted_is_read_and_a_question_about_it_has_its_text(qtbot, ready):
    letters = scan("The safe opens with 4711.")
    size = letters.width, letters.height, 3 * letters.width
    picture = QImage(letters.tobytes(), *size, QImage.Format.Format_RGB888)
    QGuiApplication.clipboard().setImage(picture)
    ready.window.composer.setFocus()
    press(Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
    assert labels(ready)[0].startswith("Pasted picture")
    wait_chips(qtbot, ready, 1)
    qtbot.waitUntil(lambda: not ready.chat_feature.documents.files.readings)
    button = ready.window.composer.attachments.chips[0].open_button
    assert button.iconSize().height() > button.fontMetrics().height()  # the picture, small
    assert "only its text is read" in button.toolTip()
    pane = open_document(qtbot, ready, None)
    assert not pane.open_button.isVisible()  # it is in no file of the user's
    press(Qt.Key.Key_Escape)
    ask(qtbot, ready, "What opens the safe?")
    qtbot.waitUntil(lambda: len(ready.chat.shown_branch) == 2)
    wait_answered(qtbot, ready)
    (source,) = ready.chat.shown_branch[1].sources.sent
    assert source.passage.text.endswith("The safe opens with 4711.")


def test_files_that_are_no_text_or_do_not_fit_leave_the_others(qtbot, ready, tmp_path):
    picture, empty = tmp_path / "picture.png", tmp_path / "empty.txt"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    empty.write_bytes(b"")
    long, short = tmp_path / "long.txt", tmp_path / "short.txt"
    long.write_text("All work and no play. " * 9_000, encoding="utf-8")
    short.write_text("Short.", encoding="utf-8")
    for file, said in ((picture, "picture.png is damaged"), (empty, "empty.txt is empty")):
        drop(ready.window, file)
        qtbot.waitUntil(lambda said=said: said in notice_text(ready))
    wait_chips(qtbot, ready, 0)
    assert notice_text(ready).startswith("empty.txt is empty")
    (broken := tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7")
    drop(ready.window, picture, empty, broken)
    qtbot.waitUntil(lambda: "3 files were not attached:" in notice_text(ready))
    assert len(ready.window.notices.rows) == 1
    assert "• picture.png is damaged." in notice_text(ready)
    assert "PDFium" not in notice_text(ready)
    wait_chips(qtbot, ready, 0)
    drop(ready.window, long, short)
    wait_chips(qtbot, ready, 2)
    qtbot.waitUntil(lambda: labels(ready)[0].endswith("· searched"))
    menu = composer_button(ready, "How it is searched").menu()
    menu.aboutToShow.emit()
    assert [each.text() for each in menu.actions() if each.text()] == [
        "Too long to be read whole in this context",
        "Searched by words only. Choose an embedding model…",
    ]
    menu.actions()[-1].trigger()
    assert "Embedding model" in ready.window.focusWidget().accessibleName()
    assert "too long" not in ready.window.composer.size_button.text()
    ready.window.composer.attachments.chips[0].findChildren(QToolButton)[-1].click()
    wait_chips(qtbot, ready, 1)
    qtbot.waitUntil(lambda: "searched" not in labels(ready)[0])
    choose_way(ready, "Search: ")
    qtbot.waitUntil(lambda: labels(ready)[0].endswith("· searched"))
    choose_way(ready, "Read whole: ")
    qtbot.waitUntil(lambda: "searched" not in labels(ready)[0])


def composer_button(session: Session, name: str) -> QToolButton:
    """A button of the first file's chip."""
    (chip, *_others) = session.window.composer.attachments.chips
    return next(button for button in chip.buttons if button.accessibleName() == name)


def choose_way(session: Session, way: str) -> None:
    """Have the first file read whole or searched."""
    menu = composer_button(session, "Read whole or search").menu()
    menu.aboutToShow.emit()
    next(each for each in menu.actions() if each.text().startswith(way)).trigger()


@pytest.mark.qt_log_ignore("This plugin does not support")  # a menu takes the keyboard
def test_a_question_about_a_long_file_is_sent_at_once_and_asked_again_with_other_passages(
    qtbot, own_profile, tmp_path
):
    long = tmp_path / "gates.txt"
    gates = (f"Gate {n}. The warden is Ann{n}. " + "Nothing happened. " * 40 for n in range(300))
    long.write_text("\n\n".join(gates), encoding="utf-8")
    with ready_session(qtbot, own_profile) as session:
        drop(session.window, long)
        wait_chips(qtbot, session, 1)
        type_line("Who is the warden of gate 44?")
        qtbot.waitUntil(lambda: len(session.chat.shown_branch) == 2)
        assert session.window.findChild(PassagesDialog) is None
        answer = session.chat.shown_branch[-1]
        assert "Ann44" in answer.sources.asked
        wait_answered(qtbot, session)
        last = session.window.chat.view(answer.id).sources.chips[-1]
        click(last.open_button)
        menu = QApplication.activePopupWidget()
        again = menu.actions()[-1]  # the others are sources, where an answer has more than three
        assert again.text() == "Ask again with other passages…"
        where = menu.actionGeometry(again).center()
        qtbot.mouseClick(menu, Qt.MouseButton.LeftButton, pos=where)
        dialog = session.window.findChild(PassagesDialog)
        press_button(dialog, "Untick all")
        qtbot.mouseClick(
            dialog.list.viewport(),
            Qt.MouseButton.LeftButton,
            pos=dialog.list.visualItemRect(dialog.list.item(0)).center(),
        )
        press_button(dialog, "Ask again with 1 passage")
        qtbot.waitUntil(lambda: session.chat.shown_branch[-1].id != answer.id)
        again = session.chat.shown_branch[-1]
        assert [each.passage for each in again.sources.sent] == [answer.sources.sent[0].passage]
        assert session.chat.shown_branch[-2].content == "Who is the warden of gate 44?"
        assert session.window.focusWidget() is session.window.composer.editor


def test_a_paste_that_is_too_long_becomes_a_document_that_is_searched(qtbot, own_profile):
    gates = (f"Gate {n}. The warden is Ann{n}. " + "Nothing happened. " * 40 for n in range(300))
    with ready_session(qtbot, own_profile) as session:
        composer = session.window.composer
        assert not composer.attach_text.isVisible()
        QGuiApplication.clipboard().setText("\n\n".join(gates))
        press(Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
        qtbot.waitUntil(composer.attach_text.isVisible)
        press_button(composer, "Attach as a document")
        wait_chips(qtbot, session, 1)
        assert labels(session)[0].startswith("Pasted text.txt · ")
        assert composer.text() == ""
        type_text("Who is the warden of gate 44?")
        qtbot.waitUntil(lambda: not composer.attach_text.isVisible())
        press(Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: len(session.chat.shown_branch) == 2)
        assert "Ann44" in session.chat.shown_branch[-1].sources.asked


def test_a_folder_has_documents_which_are_listed_as_they_are_read_and_removed(
    qtbot: QtBot, session: Session, tmp_path: Path, may_read: dict[str, threading.Event]
) -> None:
    rest = may_read["paper 2.txt"] = threading.Event()
    (folder := tmp_path / "papers").mkdir()
    for n in range(3):
        (folder / f"paper {n}.txt").write_text(f"Paper {n}.", encoding="utf-8")
    made = result_of(session.store.ask(lambda store: store.folders.create("Work")))
    session.chat_feature.show_folder_documents(FolderInfo(made, "Work"))
    dialog = session.window.findChild(DocumentsDialog)
    press_button(dialog, "Add a folder…")
    chooser = dialog.findChildren(QFileDialog)[-1]
    chooser.filesSelected.emit([str(folder)])
    chooser.reject()
    qtbot.waitUntil(lambda: dialog.tree.topLevelItemCount() == 2)
    assert dialog.progress.text() == "Reading 3 of 3 files."
    assert dialog.progress.text() in notice_text(session)
    click(session.window.notices.rows[0].close_button)
    rest.set()
    qtbot.waitUntil(lambda: dialog.tree.topLevelItemCount() == 3 and not dialog.progress.text())
    assert notice_text(session) == ""  # what was closed stays closed
    dialog.tree.topLevelItem(1).setSelected(True)
    press_button(dialog, "Remove")
    qtbot.waitUntil(lambda: dialog.tree.topLevelItemCount() == 2)
    assert [dialog.tree.topLevelItem(n).text(0) for n in (0, 1)] == ["paper 0.txt", "paper 2.txt"]
    index = session.chat_feature.documents.index
    qtbot.waitUntil(lambda: len(index.documents()) == 2)
    dialog.close()


def test_files_are_read_on_after_a_change_of_language(qtbot, session, notes, tmp_path, may_read):
    reads = may_read["notes.md"] = may_read["paper.txt"] = threading.Event()
    (paper := tmp_path / "paper.txt").write_text("Paper.", encoding="utf-8")
    folder = session.store.run(lambda store: store.folders.create("Work"))
    session.chat_feature.show_folder_documents(FolderInfo(folder, "Work"))
    press_button(session.window.findChild(DocumentsDialog), "Add files…")
    session.window.findChildren(QFileDialog)[-1].filesSelected.emit([str(paper)])
    drop(session.window, notes)
    old = session.window
    try:
        session.set_language("zh_CN")
        qtbot.waitUntil(lambda: session.window is not old and session.window.updatesEnabled())
        assert notice_text(session).startswith("正在读取第 1 个文件")
        qtbot.waitUntil(lambda: labels(session) == ["notes.md · 正在读取…"])
    finally:
        reads.set()
        session.set_language("en")
    qtbot.waitUntil(lambda: session.window.sidebar.new_button.text() == "New chat")
    wait_chips(qtbot, session, 1)
    qtbot.waitUntil(lambda: session.window.updatesEnabled() and notice_text(session) == "")
    of_folder = session.store.run(lambda store: store.attachments.of_folder(folder))
    assert [each.name for each in of_folder] == ["paper.txt"]
    assert labels(session)[0].startswith("notes.md · about ")


def choose(session: Session, start: str, file: Path) -> None:
    """Choose an entry of the menu below the list, then a file in the dialog that opens."""
    more = next(
        button
        for button in session.window.sidebar.findChildren(QToolButton)
        if button.accessibleName() == "Export and import"
    )
    next(a for a in more.menu().actions() if a.text().startswith(start)).trigger()
    for box in session.window.findChildren(QMessageBox):  # of an import
        assert box.defaultButton().text() == "File…"  # Enter goes on, Esc does not
        click(box.defaultButton())
    choose_file(session.window, file)


def wait_notice(qtbot: QtBot, session: Session, text: str) -> None:
    qtbot.waitUntil(lambda: text in notice_text(session))


def test_all_conversations_are_exported_by_the_menu(qtbot, own_profile, tmp_path):
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
            assert "Show in folder" in session.window.notices.rows[0].notice.actions
            data = (tmp_path / f"all.{suffix}").read_bytes()
            if suffix == "pdf":
                assert data.startswith(b"%PDF")
            else:
                assert b"Bananas?" in data
                assert b"pm 2" in data


def test_the_latest_of_what_is_imported_is_opened_by_the_notice(qtbot, own_profile, tmp_path):
    for fruit in ("Apples?", "Bananas?", "Pears?"):
        store_conversation(own_profile, fruit, "Yellow.")
    file = tmp_path / "all.json"
    with running_session(qtbot, own_profile) as session:
        choose(session, "Export all", file)
        wait_notice(qtbot, session, "Exported to")
        choose(session, "Import", file)
        wait_notice(qtbot, session, "0 chats imported. 3 were here already.")
        exported = json.loads(file.read_text(encoding="utf-8").replace("Yellow.", "Green."))
        exported["conversations"].sort(key=lambda each: each["updated_at"])
        file.write_text(json.dumps(exported), "utf-8")
        choose(session, "Import", file)
        wait_notice(qtbot, session, "3 chats imported")
        press_button(session.window.notices, "Open")
        qtbot.waitUntil(lambda: session.chat.shown_branch[-1].content == "Green.")
        assert session.chat.shown_branch[0].content == "Pears?"


def test_a_message_becomes_a_prompt_that_is_exported_deleted_and_imported(
    qtbot: QtBot, own_profile: Path, tmp_path: Path
) -> None:
    store_conversation(own_profile, "Explain {{topic}} to me", "Yes.")
    begin_with_an_empty_library(own_profile)
    file = tmp_path / "prompts.json"
    with running_session(qtbot, own_profile) as session:
        qtbot.waitUntil(lambda: len(session.window.chat.messages) == 2)
        session.window.chat.requested.emit(SavePrompt("Explain {{topic}} to me"))
        dialog = session.window.findChildren(PromptDialog)[-1]
        assert dialog.focusWidget() is dialog.name
        dialog.name.setText("Explain")
        press_button(dialog, "Save")
        qtbot.waitUntil(lambda: prompt_names(session) == ["Explain"])
    with running_session(qtbot, own_profile) as session:
        qtbot.waitUntil(lambda: prompt_names(session) == ["Explain"])
        activate(qtbot, session)
        session.window.composer.setFocus()
        type_line("/exp")
        assert session.window.composer.text() == "Explain {{topic}} to me"
        assert session.window.composer.editor.textCursor().selectedText() == "{{topic}}"
        choose_of_prompts(session, "Export")
        choose_file(session.window, file)
        wait_notice(qtbot, session, "Exported to prompts.json")
        delete_first_prompt(qtbot, session)
        wait_notice(qtbot, session, "The prompt “Explain” was deleted.")
        qtbot.waitUntil(lambda: prompt_names(session) == [])
        choose_of_prompts(session, "Import")
        choose_file(session.window, file)
        qtbot.waitUntil(lambda: prompt_names(session) == ["Explain"])


def test_a_prompt_that_is_made_or_imported_meanwhile_outlives_an_undo_and_a_dialog(
    qtbot: QtBot, own_profile: Path, tmp_path: Path
) -> None:
    file = tmp_path / "prompts.json"
    imported = PromptFile(prompts=[SavedPrompt(name="Imported", content="Why?")])
    file.write_text(imported.model_dump_json(), "utf-8")
    begin_with_an_empty_library(own_profile)
    with running_session(qtbot, own_profile) as session:
        save_prompt(new_prompt(session), "Apple")
        qtbot.waitUntil(lambda: prompt_names(session) == ["Apple"])
        delete_first_prompt(qtbot, session)
        qtbot.waitUntil(lambda: prompt_names(session) == [])
        save_prompt(new_prompt(session), "Banana")
        qtbot.waitUntil(lambda: prompt_names(session) == ["Banana"])
        press_button(session.window.notices, "Undo")
        qtbot.waitUntil(lambda: prompt_names(session) == ["Apple", "Banana"])
        dialog = new_prompt(session)
        choose_of_prompts(session, "Import")
        choose_file(session.window, file)
        qtbot.waitUntil(lambda: "Imported" in prompt_names(session))
        save_prompt(dialog, "Cherry")
        every = ["Apple", "Banana", "Cherry", "Imported"]
        qtbot.waitUntil(lambda: prompt_names(session) == every)
    with running_session(qtbot, own_profile) as session:
        qtbot.waitUntil(lambda: prompt_names(session) == every)


def test_a_new_library_has_eight_prompts_that_stay_deleted(qtbot: QtBot, own_profile: Path) -> None:
    with running_session(qtbot, own_profile) as session:
        qtbot.waitUntil(lambda: len(prompt_names(session)) == 8)
        delete_first_prompt(qtbot, session)
        qtbot.waitUntil(lambda: len(prompt_names(session)) == 7)
    with running_session(qtbot, own_profile) as session:
        qtbot.waitUntil(lambda: len(prompt_names(session)) == 7)
        activate(qtbot, session)
        session.window.composer.setFocus()
        type_text("/")
        found = session.window.palette_list.list.topLevelItem(1)
        assert "[" in found.text(1)  # a field, without its braces
        assert not found.textAlignment(1)  # all previews begin at one place
        type_line("tr")
        assert "{{language}}" in session.window.composer.text()


def test_a_name_that_no_prompt_has_is_not_sent_but_a_path_is_written_on(qtbot, own_profile):
    begin_with_an_empty_library(own_profile)
    with running_session(qtbot, own_profile) as session:
        activate(qtbot, session)
        session.window.composer.setFocus()
        type_text("/tr")
        found = session.window.palette_list
        press(Qt.Key.Key_Return)
        assert found.isVisible()
        assert found.list.topLevelItem(0).text(0) == "No prompt begins with “tr”."
        assert session.chat.shown_branch == []
        type_text("ue/false")
        assert not found.isVisible()
        assert session.window.composer.text() == "/true/false"


def begin_with_an_empty_library(profile: Path) -> None:
    with Profile.open(profile) as opened, Store(opened.database) as store:
        store.prompts.first(())


def activate(qtbot: QtBot, session: Session) -> None:
    """A dialog leaves no window active on the offscreen platform."""
    session.window.activateWindow()
    qtbot.waitUntil(session.window.isActiveWindow)


def choose_of_prompts(session: Session, start: str) -> None:
    """Choose an entry of the menu of prompts."""
    actions = session.window.prompts_menu.actions()
    next(action for action in actions if action.text().startswith(start)).trigger()


def prompt_names(session: Session) -> list[str]:
    return [prompt.name for prompt in session.window.composer.prompts]


def new_prompt(session: Session) -> PromptDialog:
    choose_of_prompts(session, "New")
    return session.window.findChildren(PromptDialog)[-1]


def save_prompt(dialog: PromptDialog, name: str) -> None:
    dialog.name.setText(name)
    dialog.content.setPlainText(f"About {name}.")
    press_button(dialog, "Save")


def delete_first_prompt(qtbot: QtBot, session: Session) -> None:
    activate(qtbot, session)
    choose_of_prompts(session, "Edit")
    press(Qt.Key.Key_Return)
    press_button(session.window.findChildren(PromptDialog)[-1], "Delete")
