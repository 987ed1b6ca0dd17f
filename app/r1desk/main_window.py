"""The window: sidebar, chat, performance panel, gauge. It arranges and connects, nothing more."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QSize, Qt, Signal, Slot
from PySide6.QtGui import (
    QAction,
    QActionGroup,
    QCloseEvent,
    QDragEnterEvent,
    QDropEvent,
    QKeySequence,
    QShowEvent,
)
from PySide6.QtWidgets import (
    QHBoxLayout,
    QMainWindow,
    QMenu,
    QMessageBox,
    QSizePolicy,
    QSplitter,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from deepseek_r1.core.words import LANGUAGES, tr
from r1desk.chat import ChatView, Composer
from r1desk.conversations.sidebar import Sidebar
from r1desk.dialogs.notice_bar import NoticeBar
from r1desk.elided import ElidedLabel
from r1desk.layouts import put_inside
from r1desk.library.download_list import DownloadList
from r1desk.performance import Gauge, PerformancePanel
from r1desk.theme import ThemeChoice
from r1desk.theme.icons import app_icon, icon

SIDEBAR_PX, PANEL_PX = 240, 340
LEAST_PX = 720, 480


class MainWindow(QMainWindow):
    """Everything the user sees at once."""

    closed = Signal()
    model_dropped = Signal(str)
    theme_chosen = Signal(str)
    language_chosen = Signal(object)  # code, or None for the system's
    text_size_changed = Signal(int)  # -1 smaller, 0 the system's, +1 larger
    stop_requested = Signal()
    regenerate_requested = Signal()
    models_requested = Signal()
    about_requested = Signal()
    shortcuts_requested = Signal()
    doctor_requested = Signal()

    def __init__(self, theme: str, language: str | None) -> None:
        super().__init__()
        self.setWindowTitle("R1 Desk")
        self.setWindowIcon(app_icon())
        self._reason_to_stay = ""
        self.setAcceptDrops(True)
        self.sidebar = Sidebar()
        self.chat = ChatView()
        self.composer = Composer()
        self.notices = NoticeBar()
        self.downloads = DownloadList(most=2)
        self.panel = PerformancePanel()
        self.gauge = Gauge()
        self._create_actions()
        self._arrange()
        self.menu_button.setMenu(self._create_menu(theme, language))
        self.composer.setFocus()

    # ---- arrangement ------------------------------------------------------------------------

    def _arrange(self) -> None:
        self.splitter = QSplitter(Qt.Orientation.Horizontal, childrenCollapsible=False)
        self.splitter.setHandleWidth(1)
        for widget in (self.sidebar, self._centre(), self.panel):
            self.splitter.addWidget(widget)
        self.splitter.setStretchFactor(1, 1)
        self.splitter.setSizes([SIDEBAR_PX, 10_000, PANEL_PX])
        whole = QWidget()
        layout = QVBoxLayout(whole)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.splitter, stretch=1)
        layout.addWidget(self.gauge)
        self.setCentralWidget(whole)

    def _centre(self) -> QWidget:
        centre = QWidget()
        centre.setObjectName("centre")
        layout = QVBoxLayout(centre)
        layout.setContentsMargins(0, 0, 0, 10)
        layout.setSpacing(6)
        self._fill_header(put_inside(layout, QHBoxLayout()))
        notices = put_inside(layout, QVBoxLayout())
        notices.setContentsMargins(16, 0, 16, 0)
        notices.addWidget(self.notices)
        self.notices.keyboard_left.connect(self.composer.setFocus)
        notices.addWidget(self.downloads)
        layout.addWidget(self.chat, stretch=1)
        layout.addWidget(self.composer)
        return centre

    def _fill_header(self, row: QHBoxLayout) -> None:
        self.title = ElidedLabel()
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.title.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.menu_button = QToolButton(icon=icon("settings"), autoRaise=True)
        self.menu_button.setAccessibleName(tr("Menu"))
        self.menu_button.setToolTip(tr("Menu"))
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        row.setContentsMargins(8, 6, 8, 0)
        row.addWidget(self._toggle_button(self.sidebar_action))
        row.addWidget(self.title, stretch=1)
        row.addWidget(self.menu_button)
        row.addWidget(self._toggle_button(self.panel_action))

    def _toggle_button(self, action: QAction) -> QToolButton:
        button = QToolButton(autoRaise=True)
        button.setDefaultAction(action)
        button.setAccessibleName(action.text())
        button.setIconSize(QSize(18, 18))
        return button

    # ---- actions ----------------------------------------------------------------------------

    def _create_actions(self) -> None:
        self.sidebar_action = self._toggle(
            "panel-left", tr("Conversations"), "Ctrl+B", self.sidebar
        )
        self.panel_action = self._toggle("panel-right", tr("Performance"), "Ctrl+J", self.panel)
        self.search_action = self._action(tr("Search conversations"), "Ctrl+K", self._on_search)
        self.models_action = self._action(tr("Choose a model…"), "Ctrl+O", self.models_requested)
        self.larger_action = self._action(
            tr("Larger text"), "Ctrl++", lambda: self.text_size_changed.emit(1)
        )
        self.larger_action.setShortcuts([QKeySequence("Ctrl++"), QKeySequence("Ctrl+=")])
        self.smaller_action = self._action(
            tr("Smaller text"), "Ctrl+-", lambda: self.text_size_changed.emit(-1)
        )
        self.normal_action = self._action(
            tr("Normal text size"), "Ctrl+0", lambda: self.text_size_changed.emit(0)
        )
        self.stop_action = self._action(tr("Stop the answer"), "Esc", self.stop_requested)
        self.stop_action.setEnabled(False)  # else Esc belongs to whatever has the focus
        self.regenerate_action = self._action(
            tr("Another answer"), "Ctrl+R", self.regenerate_requested
        )
        self.shortcuts_action = self._action(
            tr("Keyboard shortcuts"), "F1", self.shortcuts_requested
        )
        self.doctor_action = self._action(tr("Check this computer…"), "", self.doctor_requested)
        self.about_action = self._action(tr("About"), "", self.about_requested)
        self.quit_action = self._action(tr("Quit"), "Ctrl+Q", self.close)

    def _toggle(self, name: str, text: str, keys: str, widget: QWidget) -> QAction:
        action = QAction(icon(name), text, self, checkable=True, checked=True)
        action.setShortcut(QKeySequence(keys))
        action.setToolTip(f"{text} ({action.shortcut().toString()})")
        action.toggled.connect(widget.setVisible)
        self.addAction(action)
        return action

    def _action(self, text: str, keys: str, slot: object) -> QAction:
        action = QAction(text, self)
        action.setShortcut(QKeySequence(keys))
        action.triggered.connect(slot)
        self.addAction(action)
        return action

    def _create_menu(self, theme: str, language: str | None) -> QMenu:
        menu = QMenu(self)
        menu.addAction(self.models_action)
        menu.addAction(self.search_action)
        menu.addSeparator()
        menu.addMenu(
            self._choices(
                menu,
                tr("Appearance"),
                self.theme_chosen,
                theme,
                {
                    ThemeChoice.SYSTEM.value: tr("Like the system"),
                    ThemeChoice.LIGHT.value: tr("Light"),
                    ThemeChoice.DARK.value: tr("Dark"),
                    ThemeChoice.HIGH_CONTRAST.value: tr("High contrast"),
                },
            )
        )
        menu.addMenu(
            self._choices(
                menu,
                tr("Language"),
                self.language_chosen,
                language,
                {None: tr("Like the system"), **LANGUAGES},
            )
        )
        menu.addActions([self.larger_action, self.smaller_action, self.normal_action])
        menu.addSeparator()
        menu.addActions(
            [self.doctor_action, self.shortcuts_action, self.about_action, self.quit_action]
        )
        return menu

    def _choices(
        self,
        parent: QMenu,
        title: str,
        chosen: Signal,
        current: str | None,
        entries: dict[str | None, str] | dict[str, str],
    ) -> QMenu:
        menu = QMenu(title, parent)
        group = QActionGroup(menu)
        for value, text in entries.items():
            action = QAction(text, menu, checkable=True, checked=value == current)
            action.setData(value)
            group.addAction(action)
            menu.addAction(action)
        group.triggered.connect(lambda action: chosen.emit(action.data()))
        return menu

    @Slot()
    def _on_search(self) -> None:
        self.sidebar_action.setChecked(True)
        self.sidebar.focus_search()

    # ---- the window itself ------------------------------------------------------------------

    def set_title(self, title: str) -> None:
        """The shown conversation's title, in the header and in the window's frame."""
        self.title.setText(title)
        self.setWindowTitle(f"{title} – R1 Desk" if title else "R1 Desk")

    def place(self, geometry: bytes) -> None:
        """Where it was last time, or a size that suits the screen."""
        if geometry and self.restoreGeometry(QByteArray.fromBase64(geometry)):
            return
        room = self.screen().availableGeometry().size()
        suited = QSize(min(1280, room.width() * 9 // 10), min(800, room.height() * 9 // 10))
        self.resize(suited.expandedTo(QSize(*LEAST_PX)).boundedTo(room))
        if self.width() < LEAST_PX[0]:  # a small screen is for the conversation at first
            self.panel_action.setChecked(False)

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

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        local = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if local:
            event.acceptProposedAction()
            self.model_dropped.emit(local[0])

    def hold_open(self, reason: str) -> None:
        """Ask with this reason before closing; an empty one lets the window close at once."""
        self._reason_to_stay = reason

    def closeEvent(self, event: QCloseEvent) -> None:
        if self._reason_to_stay:
            event.ignore()
            self._ask_to_close(self._reason_to_stay)
            return
        self.closed.emit()
        super().closeEvent(event)

    def _ask_to_close(self, reason: str) -> None:
        box = QMessageBox(QMessageBox.Icon.Warning, self.windowTitle(), reason, parent=self)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        close = box.addButton(tr("Close anyway"), QMessageBox.ButtonRole.DestructiveRole)
        close.clicked.connect(self._on_close_anyway)
        box.setDefaultButton(box.addButton(QMessageBox.StandardButton.Cancel))
        box.open()

    @Slot()
    def _on_close_anyway(self) -> None:
        self._reason_to_stay = ""
        self.close()
