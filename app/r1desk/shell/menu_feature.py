"""The palette and the dialogs of the window's menu, and the appearance that the settings change."""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TypeVar

import PySide6
from PySide6.QtCore import QSize, Qt, Slot
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QWidget,
)

from deepseek_r1 import __version__
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.models_folders import user_models_dir
from deepseek_r1.core.paths import log_dir, profile_dir
from r1desk.chat.feature import PROMPTS_FOLDER
from r1desk.chat.text.text_style import ReadingWidth, set_reading_width
from r1desk.conversations.conversation_intents import OpenConversation
from r1desk.features import Feature, Services
from r1desk.models.feature import ModelsFeature
from r1desk.performance.widgets.panel import PanelTab, setting_titles
from r1desk.platform.qt_application import application
from r1desk.preferences import ThemeName, WidthName
from r1desk.shell.main_window import MainWindow
from r1desk.shell.settings_dialog import TEXT_SIZES_PT, SettingsDialog, languages, themes, widths
from r1desk.theme import ThemeChoice, app_icon, apply_theme
from r1desk.theme.theme import find_theme
from r1desk.widgets.bounded_dialog import BoundedDialog
from r1desk.widgets.layouts import put_inside, with_properties
from r1desk.widgets.palette import PaletteEntry
from r1desk.widgets.text_label import selectable_label, text_label

T = TypeVar("T")


class MenuFeature(Feature[MainWindow]):
    """Opens the dialogs, and puts theme, text size and reading width in force. Main thread."""

    def __init__(self, services: Services, models: ModelsFeature) -> None:
        super().__init__()
        self._services, self._models = services, models
        self.choose_folder = models.choose_folder
        self._window: MainWindow  # set by `attach`
        self._system_font = QApplication.font()
        if services.preferences.text_size_pt:  # the theme was at the start
            self._apply_theme()
        set_reading_width(ReadingWidth(services.preferences.reading_width))

    def attach(self, window: MainWindow) -> None:
        """Open the dialogs above this window."""
        self._window = window
        window.settings_action.triggered.connect(self._on_settings)
        window.doctor_action.triggered.connect(self._on_doctor)
        window.shortcuts_action.triggered.connect(self._on_shortcuts)
        window.palette_action.triggered.connect(self._on_palette)
        window.help_action.triggered.connect(self._on_help)
        window.about_action.triggered.connect(self._on_about)
        window.text_size_changed.connect(self.step_text_size)

    @Slot()
    def _on_palette(self) -> None:
        open_palette(self._window, self._choices())

    def _choices(self) -> Iterator[PaletteEntry]:
        """Yield what can be chosen in the settings, each to be put in force at once."""
        yield from _each(tr("Theme"), themes(), self.set_theme)
        yield from _each(tr("Reading width"), widths(), self.set_width)
        yield from _each(tr("Language"), languages(), self._services.set_language)

    def open_panel(self) -> None:
        """Show the settings of model, memory and answers, which stand beside the chat."""
        self._window.open_panel(PanelTab.MODEL)

    @Slot()
    def _on_shortcuts(self) -> None:
        shortcuts(self._window).open()

    @Slot()
    def _on_about(self) -> None:
        about(self._window, self._services.engine.engine_name).open()

    @Slot()
    def _on_help(self) -> None:
        from r1desk.shell.help_dialogs import HelpWindow  # noqa: PLC0415 - not at start

        HelpWindow(self._window).show()

    @Slot()
    def _on_doctor(self) -> None:
        from r1desk.shell.help_dialogs import DoctorPage  # noqa: PLC0415 - not at start

        DoctorPage(self._window).open()

    @Slot()
    def _on_settings(self) -> None:
        if any(each.isVisible() for each in self._window.findChildren(SettingsDialog)):
            return  # several languages were passed by key before the window was there
        profile = self._services.profile
        folders = {
            tr("Models"): user_models_dir(),
            tr("Chats and settings"): profile,
            tr("Chats ready on disk"): profile / PROMPTS_FOLDER,
            tr("Logs"): log_dir(),
        }
        SettingsDialog(self._window, self._services.preferences, self, folders).open()

    def set_language(self, language: str | None) -> None:
        """The window is built anew; the settings stay open."""
        self._services.set_language(language)
        once = Qt.ConnectionType.SingleShotConnection
        find_theme(application()).changed.connect(self._on_settings, once)

    def set_theme(self, theme: ThemeName) -> None:
        """Use other colours."""
        self._services.preferences.theme = theme
        self._apply_theme()
        self._services.save_preferences()

    def set_text_size(self, points: int) -> None:
        """Use another size of text; 0 is the system's."""
        self._services.preferences.text_size_pt = points
        self._apply_theme()
        self._services.save_preferences()

    def set_width(self, width: WidthName) -> None:
        """Let lines be as wide as this."""
        self._services.preferences.reading_width = width
        set_reading_width(ReadingWidth(width))
        self._window.lay_out_again()
        self._services.save_preferences()

    def set_notices(self, wanted: bool) -> None:
        """Announce answers by the system's notices, or not."""
        self._services.preferences.system_notices = wanted
        self._services.save_preferences()

    def set_unload_time(self, minutes: int) -> None:
        """Unload the model after so long without use; 0 is never."""
        self._services.preferences.unload_after_min = minutes
        self._models.idle_unload.restart()
        self._services.save_preferences()

    @Slot(int)
    def step_text_size(self, step: int) -> None:
        """Make the text larger or smaller by so many points; 0 is the system's size."""
        least, most = TEXT_SIZES_PT
        present = self._services.preferences.text_size_pt or self._system_font.pointSize()
        self.set_text_size(max(least, min(most, present + step)) if step else 0)

    def _apply_theme(self) -> None:
        """Put theme and text size in force; sizes in the style sheet follow the text."""
        font = QGuiApplication.font()
        font.setPointSize(self._services.preferences.text_size_pt or self._system_font.pointSize())
        choice = ThemeChoice(self._services.preferences.theme)
        apply_theme(application(), choice, font)


def _each(
    title: str, texts: Mapping[T, str], choose: Callable[[T], None]
) -> Iterator[PaletteEntry]:
    for value, text in texts.items():
        yield PaletteEntry(tr("Settings"), f"{title}: {text}", partial(choose, value))


def open_palette(window: MainWindow, choices: Iterable[PaletteEntry] = ()) -> None:
    """Open the palette, with `choices` of settings too, or leave it where it is open."""
    if window.palette_list.isVisible():
        window.palette_list.leave()
        return
    prompts = window.composer.prompt_entries()
    entries = [*_chats(window), *prompts, *_menu_entries(window), *_models(window)]
    entries += [*_panel_settings(window), *choices]
    window.palette_list.open(entries, tr("Find a chat, a model, a prompt or an action"))


def _chats(window: MainWindow) -> Iterator[PaletteEntry]:
    def show(conversation: int) -> None:
        window.sidebar.requested.emit(OpenConversation(conversation))
        window.composer.setFocus()

    group = tr("Chats, newest first")
    for info in sorted(window.sidebar.conversations, key=lambda info: -info.updated_at):
        yield PaletteEntry(group, info.title, partial(show, info.id))


def entries(window: MainWindow) -> dict[str, list[QAction]]:
    """The menu's actions by the titles of its parts; those on the current chat among them."""
    parts = {tr("Window"): window.menu}
    menus = (action.menu() for action in window.menu.actions())
    parts |= {part.title(): part for part in menus if isinstance(part, QMenu)}
    found = {
        title: [action for action in part.actions() if action.text() and not action.menu()]
        for title, part in parts.items()
    }
    more = (*window.sidebar.list.actions(), *window.sidebar.actions())
    of_chats = found[window.chats_menu.title()]
    of_chats += [action for action in more if action not in of_chats]
    return found


def _menu_entries(window: MainWindow) -> Iterator[PaletteEntry]:
    """The entries that would do something now."""
    window.presets_menu.aboutToShow.emit()  # it is filled for each use
    for group, actions in entries(window).items():
        for action in actions:
            if action.isEnabled() and action is not window.palette_action:
                text = action.text().replace("&&", "&")
                yield PaletteEntry(group, text, action.trigger, action.shortcut().toString())


def _models(window: MainWindow) -> Iterator[PaletteEntry]:
    menu = window.model_pill.menu()
    menu.aboutToShow.emit()  # it is filled for each use
    for action in menu.actions():
        if action.isCheckable() and action.isEnabled() and not action.isChecked():
            name, _, fit = action.text().replace("&&", "&").partition("\t")
            yield PaletteEntry(tr("Models"), name, action.trigger, fit)


def _panel_settings(window: MainWindow) -> Iterator[PaletteEntry]:
    for key, title in setting_titles().items():
        show = partial(window.open_setting, key)
        yield PaletteEntry(tr("Model and memory"), title, show)


def about(parent: QWidget, engine: str) -> QDialog:
    """Versions and folders. `engine` is the engine's own description, empty before it starts."""
    text = tr(
        "DeepSeek-R1 on this computer's processor, inside one memory budget. "
        "Nothing you write leaves this computer."
    )
    dialog = BoundedDialog(parent, tr("About R1 Desk"), QSize(460, 160))
    column = dialog.fill_column(spacing=14)
    head = put_inside(column, with_properties(QHBoxLayout(), spacing=14))
    picture = QLabel(pixmap=app_icon().pixmap(48, 48))
    head.addWidget(picture, 0, Qt.AlignmentFlag.AlignTop)
    head.addWidget(QLabel(text, wordWrap=True), 1)
    form = put_inside(column, QFormLayout())
    form.setHorizontalSpacing(24)
    for name, value in (
        (tr("Version"), __version__),
        (tr("Engine"), engine or tr("not started")),
        ("Python", platform.python_version()),
        ("Qt", PySide6.__version__),
        (tr("Your data"), str(profile_dir())),
    ):
        form.addRow(text_label(name, "dim"), selectable_label(value))
    column.addStretch(1)
    return dialog


def shortcuts(window: MainWindow) -> QDialog:
    """The keyboard map: what the menu has a shortcut for, and the keys of the message box."""
    groups = {
        tr("Message box"): [
            (tr("Send"), ["Enter"]),
            (tr("New line"), ["Shift+Enter"]),
            (tr("Edit the last message"), ["↑"]),
            (tr("Use a prompt from the library"), ["/"]),
        ]
    }
    for title, actions in entries(window).items():
        rows = [(each.text().rstrip("…"), _keys_of(each)) for each in actions if each.shortcuts()]
        if rows:
            groups[title] = rows
    dialog = BoundedDialog(window, tr("Keyboard shortcuts"), QSize(480, 160))
    dialog.area.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # arrows scroll it
    form = put_inside(dialog.fill_column(spacing=0), QFormLayout())
    form.setHorizontalSpacing(36)
    for title, rows in groups.items():
        form.addRow(text_label(title, "heading"))
        for name, keys in rows:
            form.addRow(text_label(name), text_label(f" {tr('or')} ".join(keys)))
    return dialog


def _keys_of(action: QAction) -> list[str]:
    keys = (each.toString().replace("Return", "Enter") for each in action.shortcuts())
    return list(dict.fromkeys(keys))  # Ctrl+Return and Ctrl+Enter are one
