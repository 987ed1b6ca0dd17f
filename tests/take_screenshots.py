"""Today's pictures of the real window, for the README.

    python tests/take_screenshots.py [FOLDER]       # docs/pictures by default

Runs the application offscreen with the starter model, asks it, and saves the window at 1366x768 in
light, dark, high contrast and Chinese, and at 200 % scale (in a second process: the scale is fixed
at the start of Qt).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "app"), str(ROOT / "tests")]

from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtWidgets import QApplication

from deepseek_r1.core.i18n import use_language
from deepseek_r1.core.settings import SamplingSettings
from r1desk import preferences as prefs
from r1desk.shell.language import install_qt_translations
from r1desk.shell.session import Session
from r1desk.shell.startup import create_application
from r1desk.store import Profile, StoreThread

SIZE = (1366, 768)
QUESTIONS = {
    "en": (
        "Write a Python function that checks whether a number is prime, and explain it in two "
        "sentences.",
        "Why is the sky blue? Two sentences, please.",
    ),
    "zh_CN": ("用 Python 写一个函数，返回列表中的最大值。",),
}
# The starter model is often wrong; with these it is right about code.
SEEDS = {"en": 12, "zh_CN": 13}


class Photographer:
    """Opens the application, waits, and saves what is on the screen."""

    def __init__(
        self,
        folder: Path,
        language: str,
        theme: str,
        prepare: Callable[[Path], object] | None = None,
    ) -> None:
        """`prepare` fills the profile's folder before the start."""
        self._folder = folder
        profile_folder = Path(tempfile.mkdtemp(prefix="r1desk-pictures-"))
        if prepare is not None:
            prepare(profile_folder)
        stored = prefs.Preferences(language=language, theme=theme, welcomed=language != "en")
        stored.sampling = SamplingSettings(max_tokens=220, seed=SEEDS[language], temperature=0.3)
        use_language(language)
        self.app = QApplication.instance() or create_application(sys.argv[:1], stored)
        install_qt_translations(self.app)
        self._profile = Profile.open(profile_folder)
        self._store = StoreThread(self._profile.database)
        self.session = Session(self._profile, self._store, stored, None)
        self._store.start()
        self.session.appearance.set_theme(theme)  # the application may still wear the last one
        self.session.show()
        self.session.window.resize(*SIZE)
        self.session.window.panel_action.setChecked(True)  # at 200 % the offscreen screen is small
        self.wait(lambda: self.session.models.current is not None)
        self.wait_ms(1500)

    def wait(self, ready: object) -> None:
        """Run the event loop until `ready()` is true, a minute at most."""
        for _ in range(600):
            if ready():
                return
            self.wait_ms(100)
        raise SystemExit("the window did not get ready within a minute")

    def wait_ms(self, milliseconds: int) -> None:
        """Let the application live for a while."""
        loop = QEventLoop()
        QTimer.singleShot(milliseconds, loop.quit)
        loop.exec()

    def ask(self, text: str) -> None:
        """Send a message and wait for its answer."""
        self.session.chat.send(text)
        self.wait_ms(300)
        self.wait(lambda: not self.session.chat.busy)
        self.wait_ms(1200)

    def save(self, name: str) -> None:
        """The window as it is now."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self.session.window.grab().save(str(self._folder / f"{name}.png"))

    def close(self) -> None:
        """Close the application's parts; Qt stays for the next ones."""
        self.session.window.closed.disconnect(self.session._on_closed)
        self.session.window.close()
        self.session.close()
        self._store.close()
        self._profile.close()
        self.session.window.deleteLater()
        self.wait_ms(100)


def take(folder: Path, language: str, suffix: str = "") -> None:
    """All pictures in one language."""
    photographer = Photographer(folder, language, "light")
    tag = f"-{language}" if language != "en" else ""
    if language == "en" and not suffix:
        speed = photographer.session.window.chat.welcome.card.speed
        photographer.wait(lambda: speed.text() and not speed.text().endswith("…"))
        photographer.save("welcome")
    for question in QUESTIONS[language]:
        photographer.ask(question)
    photographer.save(f"light{tag}{suffix}")
    if not suffix:
        for theme in ("dark", "high_contrast") if language == "en" else ("dark",):
            photographer.session.appearance.set_theme(theme)
            photographer.wait_ms(600)
            photographer.save(f"{theme}{tag}")
    photographer.close()


def main() -> None:
    """Take them all; the 200 % ones in a process of their own."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures"
    if os.environ.get("QT_SCALE_FACTOR"):
        take(folder, "en", "-200percent")
        return
    take(folder, "en")
    take(folder, "zh_CN")
    scaled = {**os.environ, "QT_SCALE_FACTOR": "2"}
    subprocess.run([sys.executable, __file__, str(folder)], env=scaled, check=True)


if __name__ == "__main__":
    main()
