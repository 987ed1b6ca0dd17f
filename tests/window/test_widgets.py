"""Parts of the window by mouse and keyboard, and windows and dialogs on small screens."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import (
    QCoreApplication,
    QDir,
    QEvent,
    QFileInfo,
    QObject,
    QPoint,
    QPointF,
    QRect,
    QSettings,
    QStandardPaths,
    Qt,
)
from PySide6.QtGui import QAccessible, QContextMenuEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
    QFileDialog,
    QLabel,
    QLineEdit,
    QListView,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QSplitter,
    QTreeView,
    QVBoxLayout,
    QWidget,
)
from pytestqt.qtbot import QtBot
from shiboken6 import isValid

from r1desk.conversations.conversation_intents import (
    FoldFolder,
    MoveToFolder,
    NewChat,
    OpenConversation,
    SearchConversations,
    TrashConversations,
)
from r1desk.conversations.widgets.sidebar import Sidebar
from r1desk.performance.widgets.setting_rows import StepSlider
from r1desk.platform.desktop import SystemNotices
from r1desk.preferences import Preferences
from r1desk.shell.help_dialogs import DoctorPage
from r1desk.shell.main_window import MainWindow
from r1desk.shell.menu_feature import about, shortcuts
from r1desk.shell.startup import use_system_dialogs
from r1desk.store import ConversationInfo, FolderInfo, SearchHit
from r1desk.theme import ThemeChoice, apply_theme
from r1desk.theme.icons import icon
from r1desk.theme.tokens import DARK, LIGHT
from r1desk.widgets.bounded_dialog import BoundedDialog
from r1desk.widgets.file_dialog import file_dialog, make_saving
from r1desk.widgets.notice_bar import Level, Notice, NoticeBar
from r1desk.widgets.palette import Palette, PaletteEntry, matching
from r1desk.widgets.text_label import ElidedLabel, NamedBox
from window.mouse_and_keys import NO_KEYS, choose_file
from window.test_settings_dialog import settings


def test_a_notice_takes_the_colours_of_another_theme(qapp: QApplication, qtbot: QtBot) -> None:
    bar = NoticeBar()
    qtbot.addWidget(bar)
    bar.show_notice(Notice("The disk is full.", Level.ERROR))
    for choice, colours in ((ThemeChoice.DARK, DARK), (ThemeChoice.LIGHT, LIGHT)):
        apply_theme(qapp, choice)
        qtbot.waitUntil(bar.updatesEnabled)  # a shown window takes it up in several turns
        QApplication.processEvents()
        picture = bar.rows[0].grab().toImage()
        edge, inside = (picture.pixelColor(x, picture.height() // 2).name() for x in (1, 7))
        assert (edge, inside) == (colours.danger, colours.raised)


def test_the_icon_of_a_chosen_entry_is_seen(qapp: QApplication, qtbot: QtBot) -> None:
    menu = QMenu()
    qtbot.addWidget(menu)
    entry = menu.addAction(icon("trash"), "Move to trash")
    for theme, colours in ((ThemeChoice.DARK, DARK), (ThemeChoice.LIGHT, LIGHT)):
        apply_theme(qapp, theme)
        qtbot.waitUntil(menu.updatesEnabled)
        menu.adjustSize()
        menu.setActiveAction(entry)
        picture, place = menu.grab().toImage(), menu.actionGeometry(entry)
        behind = picture.pixelColor(place.right() - 4, place.center().y()).name()
        seen = {picture.pixelColor(x, y).name() for x in range(8, 26) for y in range(6, 30)}
        assert behind == colours.pressed
        assert colours.text in seen


def test_the_box_of_a_row_that_is_not_ticked_is_seen(qapp: QApplication, qtbot: QtBot) -> None:
    rows = QListWidget()
    qtbot.addWidget(rows)
    for state in (Qt.CheckState.Unchecked, Qt.CheckState.Checked):
        QListWidgetItem("A passage", rows).setCheckState(state)
    for theme, colours in ((ThemeChoice.DARK, DARK), (ThemeChoice.LIGHT, LIGHT)):
        apply_theme(qapp, theme)
        qtbot.waitUntil(rows.updatesEnabled)
        for row, expected in enumerate((colours.outline, colours.accent)):
            area = rows.visualItemRect(rows.item(row))
            picture = rows.viewport().grab(area).toImage()
            middle = picture.height() // 2
            seen = {picture.pixelColor(x, middle).name() for x in range(24)}
            assert expected in seen


def test_the_symbol_is_level_with_a_line_after_another_style_sheet(qapp, qtbot):
    bar = NoticeBar()
    qtbot.addWidget(bar)
    bar.show_notice(Notice("The disk is full."))
    bar.show()
    row = bar.rows[0]
    bar.setStyleSheet("QToolButton { padding: 30px; }")
    symbol = row.layout().itemAt(0).widget()
    assert symbol.height() == row.close_button.sizeHint().height() > 60


def test_several_notices_are_read_and_information_gives_way_to_information(qtbot: QtBot) -> None:
    bar = NoticeBar()
    qtbot.addWidget(bar)
    bar.show()
    full = Notice("The drive is full.", Level.ERROR)
    bar.show_notice(full)
    bar.show_notice(Notice("One", Level.INFO))
    one = bar.rows[0]
    bar.show_notice(Notice("Two", Level.INFO))
    one.close_button.click()  # as its time does, which may be over just then
    bar.show_notice(full)
    assert bar.text == "The drive is full.\nTwo"
    for number in range(3):
        bar.show_notice(Notice(f"Broken {number}", Level.WARNING))
    assert [row.isVisible() for row in bar.rows] == [True, True, True, False, False]
    qtbot.mouseClick(bar.rows[1].close_button, Qt.MouseButton.LeftButton)
    assert [row.notice.text for row in bar.rows if row.isVisible()][-1] == "The drive is full."


def test_after_a_notice_is_followed_the_keyboard_is_in_the_composer(qtbot: QtBot) -> None:
    window = MainWindow()
    qtbot.addWidget(window)
    window.show()
    qtbot.waitActive(window)
    followed: list[bool] = []
    notice = Notice("It fits.", Level.ERROR, {"Load it": lambda: followed.append(True)})
    window.notices.show_notice(notice)
    window.notices.rows[0].buttons[0].setFocus()
    qtbot.keyClick(window.notices.rows[0].buttons[0], Qt.Key.Key_Space)
    assert followed == [True]
    assert window.focusWidget() is window.composer.editor
    window.close()


@pytest.fixture
def slider(qapp: QApplication, qtbot: QtBot) -> StepSlider:
    apply_theme(qapp, ThemeChoice.LIGHT)
    slider = StepSlider()
    slider.setRange(0, 40)
    slider.setValue(10)
    slider.resize(300, 30)
    qtbot.addWidget(slider)
    slider.show()
    return slider


def click(qtbot: QtBot, slider: StepSlider, x: int) -> None:
    qtbot.mouseClick(slider, Qt.MouseButton.LeftButton, pos=QPoint(x, slider.height() // 2))


def test_a_click_at_the_far_end_moves_by_one_step(slider: StepSlider, qtbot: QtBot) -> None:
    click(qtbot, slider, 290)
    assert slider.value() == 11
    click(qtbot, slider, 5)
    assert slider.value() == 10


def test_the_handle_can_still_be_dragged(slider: StepSlider, qtbot: QtBot) -> None:
    y = slider.height() // 2
    handle = QPoint(round(10 / 40 * (300 - 14)) + 7, y)
    qtbot.mousePress(slider, Qt.MouseButton.LeftButton, pos=handle)
    qtbot.mouseMove(slider, QPoint(220, y))
    qtbot.mouseRelease(slider, Qt.MouseButton.LeftButton, pos=QPoint(220, y))
    assert slider.value() > 25


OLD, NEW, FOLDER = 1, 2, 5
TAKES_KEYBOARD = pytest.mark.qt_log_ignore("This plugin does not support")  # a menu


@pytest.fixture
def sidebar(qtbot: QtBot) -> Iterator[Sidebar]:
    window = QWidget()
    qtbot.addWidget(window)
    layout = QVBoxLayout(window)
    sidebar = Sidebar(window)
    layout.addWidget(sidebar)
    layout.addWidget(QLineEdit(window))  # what has the keyboard at first
    sidebar.show_conversations([a_conversation(NEW), a_conversation(OLD)])
    window.show()
    qtbot.waitActive(window)
    window.findChildren(QLineEdit)[-1].setFocus()
    yield sidebar
    window.close()


def a_conversation(number: int) -> ConversationInfo:
    return ConversationInfo(number, f"Talk {number}", created_at=0.0, updated_at=float(number))


def test_tab_through_the_list_opens_nothing_and_enter_the_row_it_came_to(sidebar, qtbot):
    sidebar.set_current(None)
    with qtbot.assertNotEmitted(sidebar.requested):
        sidebar.list.setFocus(Qt.FocusReason.TabFocusReason)
        assert sidebar.list.hasFocus()
    with qtbot.waitSignal(sidebar.requested) as opened:
        qtbot.keyClick(sidebar.list, Qt.Key.Key_Return)
    assert opened.args == [OpenConversation(NEW)]


def test_the_arrows_open_conversations(sidebar: Sidebar, qtbot: QtBot) -> None:
    sidebar.set_current(NEW)
    sidebar.list.setFocus(Qt.FocusReason.TabFocusReason)
    with qtbot.waitSignal(sidebar.requested) as opened:
        qtbot.keyClick(sidebar.list, Qt.Key.Key_Down)
    assert opened.args == [OpenConversation(OLD)]


@pytest.fixture
def requested(sidebar: Sidebar) -> list[object]:
    """What a person asks for, in a list with a folder, where the newest conversation is open."""
    inside = replace(a_conversation(3), folder_id=FOLDER)
    sidebar.show_conversations(
        [a_conversation(NEW), a_conversation(OLD), inside], [FolderInfo(FOLDER, "Garden")]
    )
    sidebar.set_current(NEW)
    requested: list[object] = []
    sidebar.requested.connect(requested.append)
    return requested


def test_the_open_conversation_is_in_sight_and_then_the_list_is_the_users(sidebar, qtbot):
    many = [a_conversation(number) for number in range(80, 0, -1)]
    sidebar.show_conversations(many)
    sidebar.set_current(OLD)
    seen = sidebar.list.viewport().rect()
    assert seen.contains(centre_of(sidebar, OLD))
    sidebar.list.verticalScrollBar().setValue(0)
    sidebar.show_conversations([replace(many[0], title="Other"), *many[1:]])
    assert not seen.contains(centre_of(sidebar, OLD))
    sidebar.search.setText("Talk 79")
    sidebar.show_hits("Talk 79", [SearchHit(79, "Talk 79", 79.0, None, "", ())])
    qtbot.keyClick(sidebar.search, Qt.Key.Key_Escape)
    assert seen.contains(centre_of(sidebar, OLD))


def centre_of(sidebar: Sidebar, conversation: int) -> QPoint:
    return sidebar.list.visualRect(sidebar.list.rows.index_of(conversation)).center()


def click_with(qtbot, sidebar, conversation, keys=NO_KEYS):
    at = centre_of(sidebar, conversation)
    qtbot.mouseClick(sidebar.list.viewport(), Qt.MouseButton.LeftButton, keys, pos=at)


def test_several_are_selected_by_mouse_and_keys_and_go_together(sidebar, requested, qtbot):
    control, shift = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
    click_with(qtbot, sidebar, OLD, control)
    assert sidebar.list.selected_ids() == [NEW, OLD]
    sidebar.show_conversations(
        [replace(a_conversation(NEW), title="Other"), a_conversation(OLD)], [FolderInfo(7, "New")]
    )
    assert sidebar.list.selected_ids() == [NEW, OLD]
    click_with(qtbot, sidebar, NEW)
    qtbot.keyClick(sidebar.list, Qt.Key.Key_Down, shift)
    assert sidebar.list.selected_ids() == [NEW, OLD]
    assert requested == []  # the one on the screen stays there
    qtbot.keyClick(sidebar.list, Qt.Key.Key_Delete, control)
    assert requested == [TrashConversations((NEW, OLD))]
    qtbot.keyClick(sidebar.list, Qt.Key.Key_A, control)
    assert sidebar.list.selected_ids() == [NEW, OLD]


@TAKES_KEYBOARD
def test_a_right_click_leaves_the_open_conversation_marked(sidebar, requested, qtbot):
    viewport, at = sidebar.list.viewport(), centre_of(sidebar, OLD)
    qtbot.mouseClick(viewport, Qt.MouseButton.RightButton, pos=at)
    arguments = (QContextMenuEvent.Reason.Mouse, at, viewport.mapToGlobal(at))
    QApplication.sendEvent(viewport, QContextMenuEvent(*arguments))
    assert sidebar.list.selected_ids() == [NEW]
    menu = QApplication.activePopupWidget()
    trash = next(each for each in menu.actions() if each.text() == "Move to trash")
    trash.trigger()
    menu.close()
    assert requested == [TrashConversations((OLD,))]


def menu_of(sidebar: Sidebar, conversation: int) -> QMenu:
    at, viewport = centre_of(sidebar, conversation), sidebar.list.viewport()
    arguments = (QContextMenuEvent.Reason.Mouse, at, viewport.mapToGlobal(at))
    QApplication.sendEvent(viewport, QContextMenuEvent(*arguments))
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    return menu


@TAKES_KEYBOARD
def test_screen_readers_hear_the_entries_of_a_menu_that_is_opened_again(sidebar, requested):
    for _ in range(2):
        menu = menu_of(sidebar, NEW)
        first = QAccessible.queryAccessibleInterface(menu).child(0)
        assert first.isValid()
        assert first.text(QAccessible.Text.Name) == "Rename"
        menu.close()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@TAKES_KEYBOARD
def test_a_chat_is_begun_in_the_folder_of_a_menu(sidebar, requested):
    at = sidebar.list.visualRect(sidebar.list.rows.index_of_folder(FOLDER)).center()
    viewport = sidebar.list.viewport()
    arguments = (QContextMenuEvent.Reason.Mouse, at, viewport.mapToGlobal(at))
    QApplication.sendEvent(viewport, QContextMenuEvent(*arguments))
    menu = QApplication.activePopupWidget()
    next(each for each in menu.actions() if each.text() == "New chat here").trigger()
    menu.close()
    assert requested == [NewChat(FOLDER)]


@TAKES_KEYBOARD
def test_what_a_search_finds_can_be_taken_out_of_its_folder(sidebar, requested):
    sidebar.search.setText("zebra")
    sidebar.show_hits("zebra", [SearchHit(3, "Zebra", 0.0, None, "", ())])
    menu = menu_of(sidebar, 3)
    folders = next(each for each in menu.findChildren(QMenu) if each.title() == "Move to folder")
    next(a for a in folders.actions() if a.text() == "Take out of the folder").trigger()
    menu.close()
    assert MoveToFolder((3,), None) in requested


def test_the_palette_finds_a_title_that_is_typed_whole_first() -> None:
    rows = [PaletteEntry("Chats", f"Sky {n}", print) for n in (11, 1)]
    assert [each.title for each in matching(rows, "sky 1")["Chats"]] == ["Sky 1", "Sky 11"]


def test_a_note_in_the_palette_and_a_title_without_one_have_the_room_that_is_free(qtbot):
    window = QWidget()
    qtbot.addWidget(window)
    window.resize(1_000, 600)
    window.show()
    palette = Palette(window)
    note = PaletteEntry("Prompts", "Correct", print, "Correct spelling and grammar of it")
    palette.open([note, PaletteEntry("Prompts", "A long name" * 9, print)], "Find")
    assert palette.list.columnWidth(1) >= palette.list.sizeHintForColumn(1)
    rows = [palette.list.topLevelItem(row) for row in (1, 2)]
    assert [row is not None and row.isFirstColumnSpanned() for row in rows] == [False, True]


def test_screen_readers_are_told_of_no_row_that_the_palette_does_not_show_yet(qtbot):
    window = QWidget()
    qtbot.addWidget(window)
    window.show()
    palette = Palette(window)
    rows = [PaletteEntry("Chats", f"Cat {n}", print) for n in range(3)]
    QAccessible.setActive(True)
    try:
        for _ in range(2):
            palette.open(rows, "Find")
            qtbot.keyClicks(palette.field, "cat")
            palette.leave()
    finally:
        QAccessible.setActive(False)  # Qt's warnings of rows that are not there fail a test


def test_screen_readers_get_the_name_of_a_box_without_a_label(qtbot: QtBot) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    box = NamedBox("Download from", window)
    QVBoxLayout(window).addWidget(box)
    relations = QAccessible.queryAccessibleInterface(box).relations()
    assert [other.text(QAccessible.Text.Name) for other, _ in relations] == ["Download from"]
    window.show()
    assert not any(label.isVisible() for label in window.findChildren(QLabel))


@TAKES_KEYBOARD
def test_conversations_are_moved_by_mouse_and_by_keys(sidebar, requested, qtbot):
    def drop(at: QPoint) -> None:
        data = sidebar.list.rows.mimeData([sidebar.list.rows.index_of(key) for key in (1, 2, 3)])
        arguments = (Qt.DropAction.MoveAction, data, Qt.MouseButton.LeftButton, NO_KEYS)
        QApplication.sendEvent(sidebar.list.viewport(), QDragEnterEvent(at, *arguments))
        QApplication.sendEvent(sidebar.list.viewport(), QDropEvent(QPointF(at), *arguments))

    drop(centre_of(sidebar, 3))  # inside of the folder
    drop(centre_of(sidebar, OLD))
    assert requested == [MoveToFolder((1, 2, 3), FOLDER), MoveToFolder((1, 2, 3), None)]
    sidebar.list.setFocus()
    qtbot.keyClick(sidebar.list, Qt.Key.Key_M, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(QApplication.activePopupWidget(), Qt.Key.Key_Return)
    assert requested[2:] == [MoveToFolder((NEW,), FOLDER)]


def test_a_folder_is_folded_by_key_and_stays_so_and_says_it_to_a_screen_reader(
    sidebar: Sidebar, requested: list[object], qtbot: QtBot
) -> None:
    first = QAccessible.queryAccessibleInterface(sidebar.list).child(1)  # after the column
    assert first.role() is QAccessible.Role.TreeItem
    assert (first.state().expanded, first.state().expandable) == (1, 1)
    sidebar.list.setFocus()
    sidebar.list.setCurrentIndex(sidebar.list.rows.index_of_folder(FOLDER))
    qtbot.keyClick(sidebar.list, Qt.Key.Key_Left)
    assert requested == [FoldFolder(FOLDER, folded=True)]
    folded = FolderInfo(FOLDER, "Garden", folded=True)
    sidebar.show_conversations([replace(a_conversation(3), folder_id=FOLDER)], [folded])
    assert not sidebar.list.isExpanded(sidebar.list.rows.index_of_folder(FOLDER))
    assert sidebar.list.current_folder() == FOLDER


def test_escape_ends_the_search(sidebar: Sidebar, requested: list[object], qtbot: QtBot) -> None:
    sidebar.focus_search()
    qtbot.keyClicks(sidebar.search, "zebra")
    qtbot.waitUntil(lambda: requested == [SearchConversations("zebra")])
    sidebar.show_hits("zebra", [])
    with qtbot.waitSignal(sidebar.list.chosen):
        qtbot.keyClick(sidebar.search, Qt.Key.Key_Escape)
    assert sidebar.search.text() == ""
    assert sidebar.list.rows.index_of(NEW).isValid()


def test_escape_in_what_a_search_found_ends_it(sidebar: Sidebar, qtbot: QtBot) -> None:
    sidebar.focus_search()
    qtbot.keyClicks(sidebar.search, "zebra")
    sidebar.show_hits("zebra", [])
    sidebar.list.setFocus()
    qtbot.keyClick(sidebar.list, Qt.Key.Key_Escape)
    assert sidebar.search.text() == ""


class Screen:
    """What a window asks of its screen."""

    def __init__(self, width: int, height: int) -> None:
        self._room = QRect(0, 0, width, height)

    def availableGeometry(self) -> QRect:
        return self._room


def opened(qtbot: QtBot, width: int, height: int) -> MainWindow:
    class OnThatScreen(MainWindow):
        def screen(self) -> Screen:
            return Screen(width, height)

    window = OnThatScreen()
    qtbot.addWidget(window)
    window.restore_layout(Preferences())
    window.show()
    qtbot.waitExposed(window)
    return window


@pytest.mark.parametrize(("width", "height"), [(683, 360), (800, 560), (1366, 740), (3840, 2100)])
def test_the_first_window_is_inside_of_the_screen(qtbot: QtBot, width: int, height: int) -> None:
    window = opened(qtbot, width, height)
    assert window.width() <= width
    assert window.height() <= height
    bottom = window.composer.mapTo(window, window.composer.rect().bottomLeft())
    assert bottom.y() < window.height()
    window.close()


def test_a_small_screen_is_for_the_conversation_at_first(qtbot: QtBot) -> None:
    window = opened(qtbot, 683, 360)
    assert not window.panel.isVisible()
    window.panel_action.trigger()
    assert window.panel.isVisible()
    window.close()


def test_a_title_without_room_ends_in_an_ellipsis(qtbot: QtBot) -> None:
    title = ElidedLabel("Why is the sky blue, and what of sunsets?")
    qtbot.addWidget(title)
    title.resize(120, 20)
    assert title.shown().startswith("Why is")
    assert title.shown().endswith("…")
    title.resize(1000, 20)
    assert title.shown() == title.text()


DIALOGS: dict[str, Callable[[QWidget], QDialog]] = {
    "about": lambda parent: about(parent, "llama.cpp"),
    "shortcuts": shortcuts,
    "doctor": DoctorPage,
    "settings": lambda parent: settings(parent, Path("/tmp")),
}


@pytest.mark.qt_log_ignore("does not support propagateSizeHints")
@pytest.mark.parametrize("name", sorted(DIALOGS))
@pytest.mark.parametrize(("width", "height"), [(911, 512), (683, 384)])
def test_a_dialog_is_within_the_screen_and_shows_its_buttons(
    qapp, qtbot, monkeypatch, name, width, height
):
    monkeypatch.setattr(BoundedDialog, "screen", lambda _dialog: Screen(width, height))
    apply_theme(qapp, ThemeChoice.LIGHT)
    parent = MainWindow()
    qtbot.addWidget(parent)
    dialog = DIALOGS[name](parent)
    assert isinstance(dialog, BoundedDialog)
    dialog.show()
    qtbot.waitExposed(dialog)
    assert dialog.width() <= width
    assert dialog.height() <= height
    bottom = dialog.buttons.mapTo(dialog, dialog.buttons.rect().bottomRight())
    assert dialog.rect().contains(bottom)
    dialog.close()


def test_a_dialog_that_saves_calls_the_format_by_its_name(qtbot: QtBot) -> None:
    dialog = file_dialog(parent := QWidget(), "Export", ["Markdown (*.md)"])
    qtbot.addWidget(parent)
    make_saving(dialog)
    labels = QFileDialog.DialogLabel
    assert [dialog.labelText(each) for each in (labels.LookIn, labels.FileType)] == [
        "Save in:",
        "Format:",
    ]


def test_a_file_dialog_has_its_buttons_on_a_small_screen(qtbot: QtBot, monkeypatch) -> None:
    """At 200 % of 1366x768 *Open* was below the edge."""
    monkeypatch.setattr(QFileDialog, "screen", lambda _dialog: Screen(683, 360), raising=False)
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = file_dialog(parent, "Attach files", ["All files (*)"])
    dialog.show()
    assert dialog.height() <= 360
    dialog.close()


def test_a_file_dialog_reads_no_file_to_know_its_icon(qtbot: QtBot, tmp_path: Path) -> None:
    """Qt's own takes a file without a suffix for what its first bytes say."""
    (tmp_path / "nameless").write_bytes(b"%PDF-1.7")
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = file_dialog(parent, "Attach files", ["All files (*)"])
    assert dialog.iconProvider().type(QFileInfo(tmp_path / "nameless")) == ""


def test_a_file_dialog_shows_the_whole_names_of_its_places(qtbot: QtBot) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = file_dialog(parent, "Attach files", ["All files (*)"])
    dialog.show()
    dialog.findChild(QSplitter).setSizes([1, 600])  # as Qt keeps it from a narrower dialog
    places = dialog.findChild(QListView, "sidebar")
    assert places.model().rowCount() > 0
    for row in range(places.model().rowCount()):
        needed = places.sizeHintForIndex(places.model().index(row, 0)).width()
        assert places.viewport().width() >= needed


def test_a_file_dialog_shows_the_whole_size_of_a_file(qtbot: QtBot, tmp_path: Path) -> None:
    (tmp_path / "book.pdf").write_bytes(b"%" * 386_641)
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = file_dialog(parent, "Attach files", ["All files (*)"])
    dialog.setDirectory(str(tmp_path))
    dialog.show()
    view = next(each for each in dialog.findChildren(QTreeView) if each.objectName() == "treeView")
    size = view.sizeHintForColumn
    qtbot.waitUntil(lambda: view.model().rowCount(view.rootIndex()) == 1 and size(1) > 0)
    qtbot.waitUntil(lambda: view.columnWidth(1) >= size(1))


def test_a_file_dialog_begins_where_the_last_file_of_its_kind_was_chosen(qtbot, tmp_path):
    QSettings.setPath(QSettings.Format.NativeFormat, QSettings.Scope.UserScope, str(tmp_path))
    file = tmp_path / "letters" / "a.txt"
    file.parent.mkdir()
    file.write_text("A")
    parent = QWidget()
    qtbot.addWidget(parent)
    first = file_dialog(parent, "Attach files", ["All files (*)"])
    assert first.selectedFiles() in ([], [first.directory().path()])  # no folder as a file's name
    assert QDir(first.directory().path()).exists()
    first.open()
    choose_file(parent, file)
    qtbot.waitUntil(lambda: not isValid(first))
    assert Path(file_dialog(parent, "", ["All files (*)"]).directory().path()) == file.parent
    downloads = QStandardPaths.StandardLocation.DownloadLocation
    models = file_dialog(parent, "Open a model file", ["Models (*.gguf)"], downloads)
    assert Path(models.directory().path()) != file.parent


@pytest.mark.skipif(sys.platform != "linux", reason="portals are Linux desktops'")
@pytest.mark.parametrize(("service", "theme"), [(True, "xdgdesktopportal"), (False, None)])
def test_the_dialogs_of_a_desktop_are_used_where_it_has_a_portal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, service: bool, theme: str | None
) -> None:
    (tmp_path / "dbus-1/services").mkdir(parents=True)
    if service:
        (tmp_path / "dbus-1/services/org.freedesktop.portal.Desktop.service").touch()
    for name in ("XDG_CURRENT_DESKTOP", "DBUS_SESSION_BUS_ADDRESS"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path))
    monkeypatch.setenv("QT_QPA_PLATFORMTHEME", "")  # what is set below goes with the test
    monkeypatch.delenv("QT_QPA_PLATFORMTHEME")
    use_system_dialogs()
    assert os.environ.get("QT_QPA_PLATFORMTHEME") == theme


def test_without_a_bus_of_the_session_a_notice_of_the_desktop_is_not_shown(qapp, monkeypatch):
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
    clicked: list[int] = []
    notices = SystemNotices(owner := QObject())
    notices.clicked.connect(clicked.append)
    notices.show(1, "The answer is ready", "Apples")
    notices.withdraw(1)
    assert clicked == []
    owner.deleteLater()
