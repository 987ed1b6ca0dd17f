"""The main window: sidebar, chat, performance panel and strip. It arranges and connects only."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QByteArray, QCoreApplication, QSize, Qt, Signal, Slot
from PySide6.QtGui import QAction, QCloseEvent, QKeySequence, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QHBoxLayout,
    QMenu,
    QMessageBox,
    QSizePolicy,
    QSplitter,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core.i18n import tr
from r1desk.chat.composer.composer import Composer
from r1desk.chat.messages.document_pane import DocumentPane
from r1desk.chat.messages.view import ChatView
from r1desk.conversations.conversation_intents import NewChat
from r1desk.conversations.feature import ConversationsWindow
from r1desk.conversations.widgets.sidebar import Sidebar
from r1desk.models.presenter import ModelsWindow
from r1desk.models.widgets.download_list import DownloadList
from r1desk.models.widgets.model_pill import ModelPill
from r1desk.performance.presenter import PerformanceWindow
from r1desk.performance.widgets.gauge import Gauge
from r1desk.performance.widgets.panel import PanelTab, PerformancePanel
from r1desk.preferences import Preferences
from r1desk.serving.feature import ServingWindow
from r1desk.serving.widgets import ServingButton
from r1desk.shell.file_drops import FileDrops
from r1desk.theme.icons import app_icon, icon
from r1desk.widgets.bounded_dialog import ask
from r1desk.widgets.layouts import filled, put_inside
from r1desk.widgets.notice_bar import NoticeBar
from r1desk.widgets.palette import Palette
from r1desk.widgets.text_label import ElidedLabel, call_with, open_menu_by, tool_button

SIDEBAR_PX, PANEL_PX, DOCUMENT_PX = 240, 340, 620
LEAST_PX = 720, 480
LEAST_CHAT_PX = 400
LEAST_BESIDE_PX = 900  # of a window that has a document beside the chat


class MainWindow(ConversationsWindow, ModelsWindow, PerformanceWindow, ServingWindow):
    """Holds the widgets of all features and the actions of the menu."""

    closed = Signal()
    text_size_changed = Signal(int)  # -1 smaller, 0 the system's, +1 larger

    def __init__(self, panel: PerformancePanel | None = None) -> None:
        """`panel` may have been made in an earlier turn of the loop."""
        super().__init__()
        self.setWindowTitle("R1 Desk")
        self.setWindowIcon(app_icon())
        self._reason_to_stay = ""
        self.made_panel = None
        self._sidebar_px = 0  # its width before it made way for the panel, in a narrow window
        self._opened_for_document = False  # the panel, which was closed
        self._panel_px = 0  # its width before it was widened for a document
        self.sidebar = Sidebar()
        self.chat = ChatView()
        self.composer = Composer()
        self.notices = NoticeBar()
        self.palette_list = Palette(self)
        self.downloads = DownloadList(most=3)
        self.document = panel.document if panel is not None else DocumentPane()
        if panel is None:  # until there is one
            self.document.setParent(self)
            self.document.hide()
        self.gauge = Gauge()
        self.serving_button = ServingButton()
        self._create_actions()
        self._switches: dict[str, QAction | QAbstractButton] = {
            "sidebar_visible": self.sidebar_action,
            "panel_visible": self.panel_action,
            "readings_visible": self.gauge.all_button,
        }
        self._arrange()
        if panel is not None:
            self._add_panel(panel)
        self.drops = FileDrops(self)
        self.drops.model_dropped.connect(self.model_dropped)
        self.drops.requested.connect(self.composer.requested)
        open_menu_by(self.menu_button, self.menu)
        self.menu_action.triggered.connect(self.menu_button.showMenu)
        call_with(self.gauge.memory.clicked, self.open_panel, PanelTab.MODEL)
        size_button = self.composer.size_button
        call_with(size_button.clicked, self.open_panel, PanelTab.CONVERSATION)
        self.composer.setFocus()

    # ---- arrangement ------------------------------------------------------------------------

    def _arrange(self) -> None:
        self.splitter = QSplitter(Qt.Orientation.Horizontal, childrenCollapsible=False)
        self.splitter.setHandleWidth(1)
        self._middle = self._centre()
        for widget in (self.sidebar, self._middle):
            self.splitter.addWidget(widget)
        self.splitter.setStretchFactor(1, 1)
        self.splitter.setSizes([SIDEBAR_PX, 10_000])
        self.panel_action.toggled.connect(self._on_panel_toggled)
        whole = QWidget()
        filled(QVBoxLayout(whole), self.splitter, self.gauge, spacing=0).setStretch(0, 1)
        self.setCentralWidget(whole)

    @property
    def panel(self) -> PerformancePanel:
        """The performance panel, made when it is first wanted: it has most of all widgets."""
        if self.made_panel is None:
            self._add_panel(PerformancePanel(self.document))
        assert self.made_panel is not None  # noqa: S101 - for the type checker
        return self.made_panel

    def _add_panel(self, panel: PerformancePanel) -> None:
        self.made_panel = panel
        panel.hide()
        sizes = self.splitter.sizes()
        self.splitter.addWidget(panel)
        self.splitter.setSizes([*sizes, PANEL_PX])
        corner = QWidget()  # where the button was that opened the panel, at the window's edge
        filled(QHBoxLayout(corner), self._toggle_button(self.panel_action), margins=(0, 0, 8, 0))
        panel.tabs.setCornerWidget(corner)
        panel.tabs.currentChanged.connect(self._share_width)
        self.panel_made.emit(panel)

    def _centre(self) -> QWidget:
        centre = QWidget()
        centre.setObjectName("centre")
        layout = filled(QVBoxLayout(centre), spacing=6, margins=(0, 0, 0, 8))
        self._fill_header(put_inside(layout, QHBoxLayout()))
        filled(put_inside(layout, QVBoxLayout()), self.downloads, margins=(16, 0, 16, 0))
        self.notices.keyboard_left.connect(self.composer.setFocus)
        layout.addWidget(self.chat, stretch=1)
        layout.addWidget(self.composer)
        self.notices.float_over(centre, self.chat)
        return centre

    def _fill_header(self, row: QHBoxLayout) -> None:
        self.title = ElidedLabel()
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.title.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.menu_button = tool_button("more", tr("Menu"))
        self.menu_button.setIconSize(QSize(18, 18))
        self.menu_button.setToolTip(tr("{name} ({keys})", name=tr("Menu"), keys="F10"))
        row.setContentsMargins(8, 6, 8, 0)
        row.addWidget(self._toggle_button(self.sidebar_action))
        self.model_pill = ModelPill()
        row.addWidget(self.model_pill)
        row.addWidget(self.title, stretch=1)
        row.addWidget(self.serving_button)
        row.addWidget(self.menu_button)
        row.addWidget(opener := self._toggle_button(self.panel_action))
        self.panel_action.toggled.connect(opener.setHidden)

    def _toggle_button(self, action: QAction) -> QToolButton:
        button = QToolButton(autoRaise=True)
        button.setDefaultAction(action)
        button.setAccessibleName(action.text())
        button.setIconSize(QSize(18, 18))
        return button

    # ---- actions ----------------------------------------------------------------------------

    def _create_actions(self) -> None:
        """An action is declared once, as an entry of the menu; its shortcut works by that.

        The palette and the page of shortcuts read the menu; features add entries of their own.
        """
        self.menu = menu = QMenu(self)
        self.palette_action = menu.addAction(tr("Find anything…"), "Ctrl+P")
        self.models_action = menu.addAction(tr("Choose a model…"), "Ctrl+O")
        self.presets_menu = menu.addMenu(tr("Presets"))
        self.prompts_menu = menu.addMenu(tr("Prompts"))
        self.chats_menu, self.answer_menu = menu.addMenu(tr("Chats")), menu.addMenu(tr("Answer"))
        self.view_menu = view = menu.addMenu(tr("View"))
        menu.addSeparator()
        self.settings_action = menu.addAction(tr("Settings…"), "Ctrl+,")
        self.serving_action = menu.addAction(tr("Serve on this computer…"))
        menu.addSeparator()
        self.doctor_action = menu.addAction(tr("Check this computer…"))
        self.help_action = menu.addAction(tr("Help"), "F1")
        self.shortcuts_action = menu.addAction(tr("Keyboard shortcuts"), "Ctrl+F1")
        self.about_action = menu.addAction(tr("About"))
        menu.addSeparator()
        menu.addAction(tr("Quit"), "Ctrl+Q", self.close)
        self.menu_action = QAction(tr("Menu"), self)
        self.menu_action.setShortcut("F10")
        self.addAction(self.menu_action)
        self._fill_chats_menu()
        self.stop_action = self.answer_menu.addAction(tr("Stop the answer"), "Esc")
        self.stop_action.setEnabled(False)  # else Esc belongs to whatever has the focus
        self.sidebar_action = self._toggle("panel-left", tr("Chats"), "Ctrl+B")
        self.sidebar_action.setChecked(True)
        self.sidebar_action.toggled.connect(partial(self._show_side, self.sidebar))
        self.sidebar_action.triggered.connect(self._on_sidebar_chosen)
        # The strip below is the panel's door.
        self.panel_action = self._toggle("panel-right", tr("Model and memory"), "Ctrl+J")
        view.addSeparator()
        for text, keys, step in (
            (tr("Larger text"), ["Ctrl++", "Ctrl+="], 1),
            (tr("Smaller text"), ["Ctrl+-"], -1),
            (tr("Normal text size"), ["Ctrl+0"], 0),
        ):
            resize = view.addAction(text)
            resize.setShortcuts([QKeySequence(each) for each in keys])
            call_with(resize.triggered, self.text_size_changed.emit, step)

    def _fill_chats_menu(self) -> None:
        # Not the button's own shortcut: Qt clicks a button 100 ms after the keys, and what is typed
        # meanwhile would be sent into the chat before.
        new_chat = partial(self.sidebar.requested.emit, NewChat())
        for text, keys, chosen in (
            (tr("New chat"), "Ctrl+N", new_chat),
            (tr("Next chat"), "Ctrl+PgDown", partial(self.sidebar.list.step, 1)),
            (tr("Previous chat"), "Ctrl+PgUp", partial(self.sidebar.list.step, -1)),
            (tr("Search chats"), "Ctrl+K", self._on_search),
            (tr("Trash"), "", self._on_trash),
        ):
            self.chats_menu.addAction(text, keys, chosen)
        self.chats_menu.addAction(self.sidebar.menu.name)

    def _toggle(self, name: str, text: str, keys: str) -> QAction:
        action = self.view_menu.addAction(icon(name), text, keys)
        action.setCheckable(True)
        action.setToolTip(f"{text} ({action.shortcut().toString()})")
        return action

    def _show_side(self, side: QWidget, shown: bool) -> None:
        """Show or hide a side of the window; its keyboard goes back to the message box."""
        focused = self.focusWidget()
        had_keyboard = focused is not None and side.isAncestorOf(focused)
        side.setVisible(shown)
        if had_keyboard and not shown:
            self.composer.setFocus()

    @Slot()
    def _on_sidebar_chosen(self) -> None:
        self._sidebar_px = 0  # from now on it is as the user wants it

    @Slot(bool)
    def _on_panel_toggled(self, opened: bool) -> None:
        self._opened_for_document &= opened
        if opened or self.made_panel is not None:
            self._show_side(self.panel, opened)
        self._share_width()

    @Slot()
    def _share_width(self) -> None:
        """Give a document in front room to be read, and what is beside it its own width after.

        The list of chats makes way where it and the panel leave the chat too little.
        """
        panel, panel_px = self.made_panel, 0
        self._cover_chat()
        if panel is not None and self.panel_action.isChecked():
            reads = panel.shows_document
            panel_px = DOCUMENT_PX if reads else panel.minimumSizeHint().width()
        narrow = self.width() - SIDEBAR_PX - panel_px < LEAST_CHAT_PX
        if narrow and self.sidebar_action.isChecked():
            self._sidebar_px = self.sidebar.width()
            self.sidebar_action.setChecked(False)
        self.splitter.refresh()
        if panel is not None and panel_px:
            left, chat, now = self.splitter.sizes()
            if not reads:
                more, self._panel_px = (self._panel_px or now) - now, 0
            elif more := max(0, min(DOCUMENT_PX - now, chat - LEAST_CHAT_PX)):
                self._panel_px = self._panel_px or now or PANEL_PX
            self.splitter.setSizes([left, chat - more, now + more])
        if self._sidebar_px and not narrow:
            self.sidebar_action.setChecked(True)
            self.splitter.refresh()
            left, chat, *panels = self.splitter.sizes()
            self.splitter.setSizes([self._sidebar_px, chat + left - self._sidebar_px, *panels])
            self._sidebar_px = 0

    @Slot()
    def lay_out_again(self) -> None:
        """Let the chat and the composer take up another reading width."""
        for widget in (self.chat, self.chat.column, self.chat.welcome, self.composer):
            QCoreApplication.postEvent(widget, QResizeEvent(widget.size(), widget.size()))
            widget.update()

    def open_panel(self, tab: PanelTab) -> None:
        """Show the performance panel at one of its tabs."""
        self.panel_action.setChecked(True)
        self.panel.show_tab(tab)

    def open_setting(self, key: str) -> None:
        """Show a setting of the performance panel."""
        self.panel_action.setChecked(True)
        self.panel.show_setting(key)

    def show_document(self) -> None:
        """Bring the document beside the chat to the front, with room to be read."""
        self.panel.show_document(shown=True)
        if not self.panel_action.isChecked():
            self.panel_action.setChecked(True)
            self._opened_for_document = True
        self.document.setFocus()  # letters go to the message box

    def close_document(self) -> None:
        """Take it away again; the keyboard, where it had it, goes back to the message box."""
        panel, focused = self.made_panel, self.focusWidget()
        if panel is None:
            return
        had_keyboard = focused is None or panel.isAncestorOf(focused)
        panel.show_document(shown=False)
        if self._opened_for_document:
            self.panel_action.setChecked(False)
        if had_keyboard:
            self.composer.setFocus()

    def _cover_chat(self) -> None:
        """Let a document have the place of the chat where both would be too narrow to be read."""
        shows = self.made_panel is not None and self.made_panel.shows_document
        covered = shows and self.panel_action.isChecked() and self.width() < LEAST_BESIDE_PX
        self._middle.setVisible(not covered)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._cover_chat()

    @Slot()
    def _on_search(self) -> None:
        self.sidebar_action.setChecked(True)
        self.sidebar.focus_search()

    @Slot()
    def _on_trash(self) -> None:
        self.sidebar_action.setChecked(True)
        self.sidebar.trash_button.click()

    # ---- the window itself ------------------------------------------------------------------

    def set_title(self, title: str) -> None:
        """The shown conversation's title, in the header and in the window's frame."""
        self.title.setText(title)
        self.setWindowTitle(f"{title} — R1 Desk" if title else "R1 Desk")

    def restore_layout(self, stored: Preferences) -> None:
        """Restore the last position and size, or one that suits the screen; then what was open."""
        geometry = QByteArray.fromBase64(stored.window_geometry.encode("ascii", "ignore"))
        if geometry.isEmpty() or not self.restoreGeometry(geometry):
            available = self.screen().availableGeometry().size()
            suited = QSize(
                min(1280, available.width() * 9 // 10), min(800, available.height() * 9 // 10)
            )
            self.resize(suited.expandedTo(QSize(*LEAST_PX)).boundedTo(available))
        for name, switch in self._switches.items():  # the width decides what they can do
            switch.setChecked(getattr(stored, name))

    def keep_layout(self, stored: Preferences) -> None:
        """Remember position, size, and what is open."""
        stored.window_geometry = bytes(self.saveGeometry().toBase64().data()).decode("ascii")
        for name, switch in self._switches.items():
            setattr(stored, name, switch.isChecked())
        stored.panel_visible &= not self._opened_for_document
        stored.sidebar_visible |= bool(self._sidebar_px)  # it has only made way

    def showEvent(self, event: QShowEvent) -> None:
        """Never smaller than is of use; never larger than the screen."""
        self.setMinimumSize(QSize(*LEAST_PX).boundedTo(self.screen().availableGeometry().size()))
        super().showEvent(event)

    def raise_to_front(self) -> None:
        """Show the window above the others, also when minimised."""
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.show()
        self.raise_()
        self.activateWindow()

    def hold_open(self, reason: str) -> None:
        """Ask with this reason before closing; an empty one lets the window close at once."""
        self._reason_to_stay = reason

    def closeEvent(self, event: QCloseEvent) -> None:
        if self._reason_to_stay:
            event.ignore()
            role = QMessageBox.ButtonRole.DestructiveRole
            ask(self, self._reason_to_stay, "", (tr("Close anyway"), role, self._on_close_anyway))
            return
        self.closed.emit()
        super().closeEvent(event)

    @Slot()
    def _on_close_anyway(self) -> None:
        self._reason_to_stay = ""
        self.close()
