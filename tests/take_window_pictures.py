"""Pictures of the window and its dialogs in every size and theme, to be looked at.

    python tests/take_window_pictures.py FOLDER [--display :32] [--short]

Starts Xvfb and openbox with a screen of 1366x768. There, with a conversation of text, code, a table
and formulas: the window with the panel closed and with each of its tabs, the first start, the
catalogue, the settings and the trash; English in light, dark and high contrast, Chinese in light
and dark; at 1366x768, 1024x700, 150 % and 200 %. `--short` takes the first of each.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS.parent / "app"), str(TESTS)]

from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtWidgets import QApplication, QDialog, QWidget

from deepseek_r1.core.i18n import use_language
from r1desk import preferences as prefs
from r1desk.performance.widgets.panel import PanelTab
from r1desk.shell.language import install_qt_translations
from r1desk.shell.session import Session
from r1desk.shell.startup import create_application
from r1desk.store import Profile, StoreThread
from window.day import Screen
from window.stored_conversations import store_conversation

LOOKS = (("en", "light"), ("en", "dark"), ("en", "high_contrast"), ("zh_CN", "light"),
         ("zh_CN", "dark"))  # fmt: skip
SIZES = {"1366": ("1", 1366, 740), "1024": ("1", 1024, 700), "150": ("1.5", 911, 485),
         "200": ("2", 683, 355)}  # fmt: skip
ANSWER = (
    "The roots follow from the **quadratic formula**:\n\n"
    "\\[ x_{1,2} = \\frac{-b \\pm \\sqrt{b^2 - 4ac}}{2a} \\]\n\n"
    "| case | roots |\n| --- | --- |\n| \\( D > 0 \\) | two |\n| \\( D = 0 \\) | one |\n\n"
    "```python\ndef roots(a: float, b: float, c: float) -> tuple[float, float]:\n"
    "    d = (b * b - 4 * a * c) ** 0.5\n    return (-b + d) / (2 * a), (-b - d) / (2 * a)\n```\n\n"
    "1. Put in the numbers.\n2. Check both roots.\n\n> \\( \\boxed{x = 2} \\)"
)
TEXTS = {
    "en": ("How are the roots of a quadratic equation found?", ANSWER),
    "zh_CN": (
        "怎样求一元二次方程的根？",
        ANSWER.replace("The roots follow from the", "用求根公式"),
    ),
}


class Album:
    """The running application of one look, and the folder for its pictures."""

    def __init__(self, folder: Path, language: str, theme: str, size: str) -> None:
        self._folder, self._tag = folder, f"{size}-{language}-{theme}"
        profile = Path(tempfile.mkdtemp(prefix="r1desk-pictures-"))
        for number in range(5):
            store_conversation(profile, f"{number + 1}. {TEXTS[language][0]}", TEXTS[language][1])
        stored = prefs.Preferences(language=language, theme=theme, welcomed=True)
        use_language(language)
        self.app = QApplication.instance() or create_application(sys.argv[:1], stored)
        install_qt_translations(self.app)
        self._profile = Profile.open(profile)
        self._store = StoreThread(self._profile.database)
        self.session = Session(self._profile, self._store, stored, None)
        self._store.start()
        self.session.appearance.set_theme(theme)
        self.session.show()
        self.session.window.resize(*SIZES[size][1:])
        self.session.window.move(0, 0)
        for _ in range(600):
            if self.session.models.current is not None:
                break
            self.live(100)
        self.live(2500)

    def live(self, milliseconds: int) -> None:
        """Let the application run for a while."""
        loop = QEventLoop()
        QTimer.singleShot(milliseconds, loop.quit)
        loop.exec()

    def save(self, name: str, widget: QWidget | None = None) -> None:
        """Save the window, or another widget, as it is drawn now."""
        picture = (widget or self.session.window).grab()
        picture.save(str(self._folder / f"{name}-{self._tag}.png"))

    def window_pictures(self) -> None:
        """The panel closed, and open at each tab."""
        window = self.session.window
        self.save("closed")
        for tab in PanelTab:
            window.open_panel(tab)
            self.live(500)
            self.save(f"panel-{tab.name.lower()}")
        window.panel_action.setChecked(False)
        self.session.chat.new_chat()
        self.live(800)
        self.save("new-chat")

    def dialog_pictures(self) -> None:
        """The chooser at each page, the settings, the shortcuts, the trash."""
        window = self.session.window
        window.models_action.trigger()
        self.live(1500)
        dialog = QApplication.activeModalWidget()
        for page in range(dialog.tabs.count()):
            dialog.tabs.setCurrentIndex(page)
            self.live(900)
            self.save(f"models-{page}", dialog)
        dialog.reject()
        actions = (window.settings_action, window.shortcuts_action, window.about_action)
        for name, action in zip(("settings", "shortcuts", "about"), actions, strict=True):
            action.trigger()
            self._save_dialog(name)
        window.sidebar.trash_button.click()
        self._save_dialog("trash")

    def first_start(self) -> None:
        """The card of the first start, in a new window."""
        self.session.preferences.welcomed = False
        self.session._rebuild_window()
        self.session.chat.new_chat()
        self.live(4000)
        self.save("first-start")

    def _save_dialog(self, name: str) -> None:
        self.live(900)
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, QDialog):
            self.save(name, dialog)
            dialog.reject()
        self.live(200)

    def close(self) -> None:
        """End the application's parts; Qt stays for the next look."""
        self.session.window.closed.disconnect(self.session._on_closed)
        self.session.window.close()
        self.session.close()
        self._store.close()
        self._profile.close()
        self.session.window.deleteLater()
        self.live(100)


def take(folder: Path, size: str, short: bool) -> None:
    """All looks of one size; the scale is fixed at the start of Qt."""
    for language, theme in LOOKS[:1] if short else LOOKS:
        album = Album(folder, language, theme, size)
        album.window_pictures()
        album.dialog_pictures()
        album.first_start()
        album.close()


def main() -> None:
    """Each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--display", default=":32")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--size", choices=sorted(SIZES), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if arguments.size:
        take(arguments.folder, arguments.size, arguments.short)
        return
    with Screen(arguments.display) as screen:
        for size, (scale, _, _) in SIZES.items():
            command = [sys.executable, *sys.argv, "--size", size]
            environment = {**os.environ, **screen.environment, "QT_SCALE_FACTOR": scale}
            subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    main()
