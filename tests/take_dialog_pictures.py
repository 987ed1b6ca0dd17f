"""Pictures of every dialog and of a model that runs from the disk, to look at before a release.

    python tests/take_dialog_pictures.py FOLDER [LARGE.gguf]

In both languages, light, dark and high contrast; with QT_SCALE_FACTOR=2 at 200 %. LARGE.gguf is
opened with half of its size as the budget, to see the panel with a model that is streamed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QDialog, QScrollArea

from deepseek_r1.core.i18n import tr
from r1desk.chat.widgets.link_dialog import ask_to_open
from r1desk.shell.main_window import MainWindow
from take_screenshots import Photographer  # sets the paths first

SETTLED_MS = 900
DOCTOR_MS = 6000  # the drive's speed is measured


class DialogPhotographer(Photographer):
    """Also saves what opens above the window."""

    def save_dialog(self, name: str, open_it: object, settled_ms: int = SETTLED_MS) -> None:
        """Call `open_it`, which waits for the dialog's end; save the dialog and leave it."""

        def save() -> None:
            dialog = QApplication.activeModalWidget()
            if dialog is not None:
                dialog.grab().save(str(self._folder / f"{name}.png"))
                dialog.reject() if isinstance(dialog, QDialog) else dialog.close()

        QTimer.singleShot(settled_ms, save)
        open_it()
        self.wait_ms(settled_ms + 300)


def open_catalogue(window: MainWindow) -> None:
    """The chooser at its page of DeepSeek-R1's models."""
    window.models_action.trigger()
    QApplication.activeModalWidget().tabs.setCurrentIndex(1)


def take(folder: Path, language: str, theme: str, large: Path | None) -> None:
    """All dialogs in one language and theme."""
    photographer = DialogPhotographer(folder, language, theme)
    folder.mkdir(parents=True, exist_ok=True)
    window = photographer.session.window
    tag = f"{language}-{theme}"
    for name in ("about_action", "shortcuts_action", "models_action"):
        photographer.save_dialog(f"{name}-{tag}", getattr(window, name).trigger)
    photographer.save_dialog(f"catalogue-{tag}", lambda: open_catalogue(window))
    photographer.save_dialog(f"doctor-{tag}", window.doctor_action.trigger, DOCTOR_MS)
    address = "https://example.org/a/rather/long/path?with=a&query=in%20it"
    photographer.save_dialog(
        f"link-{tag}",
        lambda: ask_to_open(address, window, tr("Open this address in your browser?")),
    )
    photographer.save_dialog(f"trash-{tag}", photographer.session.conversations._on_trash_view)
    if large is not None:
        models = photographer.session.models
        budget = int(large.stat().st_size / (1 << 20) / 2) + 500
        models.apply(
            photographer.session.preferences.load.model_copy(
                update={"memory_budget": budget, "swap_enabled": True}
            )
        )
        models.choose(large)
        photographer.wait(lambda: models.current is not None and models.path == large)
        photographer.wait_ms(2500)
        photographer.save(f"streamed-{tag}")
    scrolled = window.panel.findChild(QScrollArea).verticalScrollBar()
    scrolled.setValue(scrolled.maximum())
    photographer.wait_ms(200)
    photographer.save(f"panel_end-{tag}")
    photographer.close()


def main() -> None:
    """Both languages, each in three themes."""
    folder = Path(sys.argv[1])
    large = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    for language in ("en", "zh_CN"):
        for theme in ("light", "dark", "high_contrast"):
            take(folder, language, theme, large)


if __name__ == "__main__":
    main()
