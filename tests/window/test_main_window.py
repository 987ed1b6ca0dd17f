"""The window by mouse and keyboard: the strip is the panel's door, and no control moves."""

import time
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QEvent, QObject, QPoint, Qt, QTimer
from PySide6.QtWidgets import QApplication, QLabel, QWidget
from pytestqt.qtbot import QtBot

from deepseek_r1.core.settings import LoadSettings
from performance.samples import a_bill, a_model, gauge_values
from r1desk.chat.presenters.chat_window import KeyForwarder
from r1desk.chat.text.text_style import ReadingWidth, set_reading_width
from r1desk.chat.values.prompt import PromptSize
from r1desk.conversations.conversation_intents import OpenConversation
from r1desk.performance.widgets.panel import PanelTab
from r1desk.shell.main_window import MainWindow
from r1desk.shell.menu_feature import open_palette, shortcuts
from r1desk.store import ConversationInfo
from r1desk.theme import ThemeChoice, apply_theme
from r1desk.widgets.notice_bar import Notice
from window.mouse_and_keys import click, press, type_line, type_text

pytestmark = pytest.mark.qt_log_ignore("This plugin does not support")


@pytest.fixture
def window(qapp: QApplication, qtbot: QtBot) -> Iterator[MainWindow]:
    apply_theme(qapp, ThemeChoice.LIGHT)
    window = MainWindow()
    window.resize(1366, 740)
    window.show()
    qtbot.waitExposed(window)
    window.gauge.show_values(gauge_values())
    window.gauge.layout().activate()
    yield window
    window.close()
    window.deleteLater()


def place(widget: QWidget) -> QPoint:
    return widget.mapToGlobal(QPoint(0, 0))


class Shown(QObject):
    """Collects what kinds of widgets are shown."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: list[str] = []

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Show and watched.isWidgetType():
            self.kinds.append(type(watched).__name__)
        return False


def test_nothing_is_a_window_of_its_own_while_the_window_is_made(qapp, qtbot):
    shown = Shown()
    qapp.installEventFilter(shown)
    qtbot.addWidget(MainWindow())
    qapp.removeEventFilter(shown)
    assert shown.kinds == []


def test_the_chat_has_the_window_to_itself_until_the_panel_is_wanted(qapp, window):
    assert window.made_panel is None  # it has more widgets than all else
    shown = Shown()
    qapp.installEventFilter(shown)
    assert not window.panel.isVisible()
    qapp.removeEventFilter(shown)
    assert set(shown.kinds) <= {"QSplitterHandle"}


@pytest.mark.parametrize(
    ("number", "tab"), [("memory", PanelTab.MODEL), ("tokens", PanelTab.CONVERSATION)]
)
def test_a_click_on_a_number_opens_the_panel_at_its_place(window, qtbot, number, tab):
    bar = window.composer.size_button
    bar.show_size(PromptSize(text=0, history=300, reserve=100, context=1000))
    click(window.gauge.memory if number == "memory" else bar)
    assert window.panel.isVisible()
    assert window.panel.tabs.currentWidget() is window.panel.pages[tab]


@pytest.mark.parametrize("tab", list(PanelTab))
def test_each_tab_fits_on_a_laptops_screen(window: MainWindow, qtbot: QtBot, tab: PanelTab) -> None:
    window.panel.show_model(a_model())
    window.open_panel(tab)
    bar = window.panel.pages[tab].verticalScrollBar()
    qtbot.waitUntil(lambda: bar.maximum() == 0)


def test_no_control_moves_while_messages_come_and_go(window: MainWindow, qtbot: QtBot) -> None:
    window.open_panel(PanelTab.MODEL)
    panel = window.panel
    panel.show_model(a_model())
    qtbot.wait(50)
    rows = panel.load.rows
    watched = [rows["memory_budget"].slider, rows["swap_enabled"].check, panel.message]
    before = [place(widget) for widget in watched]

    def unmoved() -> None:
        qtbot.wait(20)
        assert [place(widget) for widget in watched] == before

    click(rows["swap_enabled"].check)
    unmoved()
    panel.show_plan(a_bill(budget_mib=700), "A budget of 1,600 MiB holds it.", LoadSettings())
    unmoved()
    click(panel.message.undo_button)
    unmoved()
    panel.model.show_loading("another")
    panel.model.show_progress(0.5)
    unmoved()
    panel.show_model(a_model())
    unmoved()


def test_digits_after_a_click_on_a_slider_go_into_its_field(window, qtbot):
    KeyForwarder(window, window.composer.editor)
    window.open_panel(PanelTab.MODEL)
    row = window.panel.load.rows["memory_budget"]
    click(row.slider)
    type_line("3")
    assert row.value == 3 * 1024
    assert window.composer.text() == ""


def test_the_page_of_shortcuts_has_every_one_of_the_menu(window: MainWindow) -> None:
    window.answer_menu.addAction("Sing", "Ctrl+Shift+9")  # as a feature does
    names = [label.text() for label in shortcuts(window).findChildren(QLabel)]
    assert names[names.index("Sing") + 1] == "Ctrl+Shift+9"
    assert names[names.index("Larger text") + 1] == "Ctrl++ or Ctrl+="


@pytest.mark.quiet
def test_the_palette_is_there_at_once_with_a_thousand_chats_and_opens_one_by_words(window, qtbot):
    chats = [ConversationInfo(n, f"Chat {n} on tides", 0.0, float(n)) for n in range(1000)]
    window.sidebar.show_conversations(chats)
    window.sidebar.search.setFocus()
    took = []
    for _ in range(5):
        began = time.perf_counter()
        open_palette(window)
        window.palette_list.repaint()
        took.append(time.perf_counter() - began)
        press(Qt.Key.Key_Escape)
    assert min(took) < 0.05
    assert window.sidebar.search.hasFocus()
    open_palette(window)
    type_text("tid 42")
    press(Qt.Key.Key_Down)
    with qtbot.waitSignal(window.sidebar.requested) as opened:
        press(Qt.Key.Key_Return)
    assert opened.args == [OpenConversation(428)]  # 429 is newer
    assert window.composer.editor.hasFocus()


def test_f10_opens_the_menu(window: MainWindow, qtbot: QtBot) -> None:
    seen: list[QWidget | None] = []

    def look() -> None:
        popup = QApplication.activePopupWidget()
        if popup is None:
            QTimer.singleShot(50, look)
            return
        seen.append(popup)
        popup.close()

    QTimer.singleShot(50, look)
    qtbot.keyClick(window, Qt.Key.Key_F10)
    qtbot.waitUntil(lambda: bool(seen))
    assert seen == [window.menu_button.menu()]


def test_in_a_narrow_window_the_sidebar_makes_way_for_the_panel(window, qtbot):
    window.resize(900, 600)
    window.panel_action.trigger()
    assert not window.sidebar.isVisible()
    window.panel_action.trigger()
    assert window.sidebar.isVisible()


def test_in_a_narrow_window_a_document_gets_the_width_of_the_sidebar_until_it_is_closed(
    window, qtbot
):
    window.resize(1024, 600)
    left, panel = window.sidebar.width(), window.panel
    window.show_document()
    qtbot.waitUntil(lambda: not window.sidebar.isVisible() and panel.width() > 600)
    window.close_document()
    qtbot.waitUntil(lambda: window.sidebar.width() == left and not panel.isVisible())
    window.panel_action.trigger()  # one that was open stays, with the sidebar beside it
    window.show_document()
    assert not window.sidebar.isVisible()
    window.close_document()
    qtbot.waitUntil(lambda: window.sidebar.width() == left and panel.width() < 400)


def test_a_tab_of_settings_beside_a_document_has_its_own_width(window, qtbot):
    window.show_document()
    panel = window.panel
    qtbot.waitUntil(lambda: panel.width() > 600)
    panel.tabs.setCurrentWidget(panel.pages[PanelTab.MODEL])
    qtbot.waitUntil(lambda: panel.width() < 400)
    panel.tabs.setCurrentWidget(panel.document)
    qtbot.waitUntil(lambda: panel.width() > 600)


def test_a_click_on_a_tab_or_a_fold_leaves_no_control_with_the_keyboard(window, qtbot):
    window.open_panel(PanelTab.MODEL)
    panel = window.panel
    bar = panel.tabs.tabBar()
    qtbot.mouseClick(bar, Qt.MouseButton.LeftButton, pos=bar.tabRect(1).center())
    page = panel.pages[PanelTab.ANSWERS]
    assert page.isVisible()
    assert QApplication.focusWidget() is page
    click(page.expert.button)
    assert page.expert.body.isVisible()
    assert QApplication.focusWidget() is page


def test_the_panel_is_closed_by_a_click_where_it_was_opened(window, qtbot):
    def click_at(spot: QPoint) -> None:
        inside = window.childAt(spot)
        qtbot.mouseClick(inside, Qt.MouseButton.LeftButton, pos=inside.mapFrom(window, spot))

    spot = QPoint(window.width() - 22, 20)
    click_at(spot)
    assert window.panel.isVisible()
    QApplication.processEvents()
    click_at(spot)
    assert not window.panel.isVisible()
    QApplication.processEvents()
    click_at(spot)
    assert window.panel.isVisible()


def test_a_notice_leaves_the_place_above_the_message_box_free(window, qtbot):
    window.notices.show_notice(Notice("Exported."))
    qtbot.waitUntil(window.notices.isVisible)
    assert window.notices.geometry().bottom() < window.chat.geometry().center().y()


def test_another_reading_width_is_taken_up_at_once(window: MainWindow, qtbot: QtBot) -> None:
    field = window.composer.editor
    before = field.width()
    set_reading_width(ReadingWidth.WIDE)
    try:
        window.lay_out_again()
        qtbot.waitUntil(lambda: field.width() > before)
    finally:
        set_reading_width(ReadingWidth.NORMAL)


def test_a_panel_that_is_closed_gives_the_keyboard_to_the_message_box(qtbot, window):
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    window.open_panel(PanelTab.MODEL)
    window.panel.load.rows["memory_budget"].spin.setFocus()
    press(Qt.Key.Key_J, Qt.KeyboardModifier.ControlModifier)
    assert not window.panel.isVisible()
    type_text("Hello")
    assert window.composer.text() == "Hello"
