"""Takes pictures of the real window, for the commands `bench/take_*.py`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtWidgets import QApplication, QDialog, QWidget

from deepseek_r1.core.i18n import use_language
from deepseek_r1.core.settings import SamplingSettings
from r1desk import preferences as prefs
from r1desk.platform.qt_application import install_qt_translations
from r1desk.shell.session import Session
from r1desk.shell.startup import create_application
from r1desk.store import Profile, StoreThread

SIZE = (1366, 768)
DIALOG_MS = 900  # until a dialog is drawn
# The starter model is often wrong; with these it is right about code.
SEEDS = {"en": 12, "zh_CN": 13}


class Photographer:
    """The running application in one look, and the folder for its pictures.

    Qt stays for the next one after `close`.
    """

    def __init__(
        self,
        folder: Path,
        stored: prefs.Preferences,
        *,
        size: tuple[int, int] = SIZE,
        panel: bool = False,
        tag: str = "",
        prepare: Callable[[Path], object] | None = None,
    ) -> None:
        """Open the window in the language and theme of `stored`, and wait for its model.

        The names of the pictures end with `tag`. `prepare` fills the profile's folder before the
        start.
        """
        self._folder, self._tag = folder, tag
        folder.mkdir(parents=True, exist_ok=True)
        profile = Path(tempfile.mkdtemp(prefix="r1desk-pictures-"))
        if prepare is not None:
            prepare(profile)
        use_language(stored.language)
        self.app = QApplication.instance() or create_application(sys.argv[:1], stored)
        install_qt_translations(self.app)
        self._profile = Profile.open(profile)
        self._store = StoreThread(self._profile.database)
        self.session = Session(self._profile, self._store, stored, None)
        self.session.appearance.set_theme(stored.theme)  # the last look may still be worn
        self.session.show()
        self.session.window.resize(*size)
        self.session.window.move(0, 0)
        self.session.window.panel_action.setChecked(panel)
        self.wait(lambda: self.session.models.current is not None)

    def wait(self, ready: Callable[[], object]) -> None:
        """Let the application run until `ready()` is true, a minute at most."""
        for _ in range(600):
            if ready():
                return
            self.live(100)
        raise SystemExit("the window did not get ready within a minute")

    def live(self, milliseconds: int) -> None:
        """Let the application run for a while."""
        loop = QEventLoop()
        QTimer.singleShot(milliseconds, loop.quit)
        loop.exec()

    def ask(self, text: str) -> None:
        """Send a message and wait for its answer."""
        self.session.chat.send(text)
        self.live(300)
        self.wait(lambda: not self.session.chat.busy)
        self.live(1200)

    def save(self, name: str, widget: QWidget | None = None) -> None:
        """Save the window, or another widget, as it is drawn now."""
        picture = (widget or self.session.window).grab()
        picture.save(str(self._folder / f"{name}{self._tag}.png"))

    def save_dialog(
        self, name: str, open_it: Callable[[], object], settled_ms: int = DIALOG_MS
    ) -> None:
        """Open a dialog, save it once it is drawn, and leave it; `open_it` may wait for its end."""

        def save() -> None:
            dialog = QApplication.activeModalWidget()
            if dialog is not None:
                self.save(name, dialog)
                dialog.reject() if isinstance(dialog, QDialog) else dialog.close()

        QTimer.singleShot(settled_ms, save)
        open_it()
        self.live(settled_ms + 300)

    def close(self) -> None:
        """End the application's parts."""
        self.session.window.closed.disconnect(self.session._on_closed)
        self.session.window.close()
        self.session.close()
        self._store.close()
        self._profile.close()
        self.session.window.deleteLater()
        self.live(100)


def chat_photographer(
    folder: Path,
    language: str,
    theme: str,
    *,
    tag: str = "",
    prepare: Callable[[Path], object] | None = None,
) -> Photographer:
    """The window with its panel open, and answers of the starter model that can be shown."""
    stored = prefs.Preferences(language=language, theme=theme, welcomed=language != "en")
    stored.sampling = SamplingSettings(max_tokens=220, seed=SEEDS[language], temperature=0.3)
    photographer = Photographer(folder, stored, panel=True, tag=tag, prepare=prepare)
    photographer.live(1500)
    return photographer
