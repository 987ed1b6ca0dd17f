"""Pictures of every dialog and of a model that runs from the disk, to look at before a release.

    python bench/take_dialog_pictures.py FOLDER [LARGE.gguf]

In both languages, light, dark and high contrast; with QT_SCALE_FACTOR=2 at 200 %. LARGE.gguf is
opened with half of its size as the budget, to see the panel with a model that is streamed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "app"), str(ROOT / "tests")]

from PySide6.QtWidgets import QApplication, QScrollArea

from bench.photographer import Photographer, chat_photographer
from deepseek_r1.core.i18n import tr
from r1desk.widgets.bounded_dialog import ask_to_open

DOCTOR_MS = 6000  # the drive's speed is measured


def open_catalogue(photographer: Photographer) -> None:
    """The chooser at its page of DeepSeek-R1's models."""
    photographer.session.window.models_action.trigger()
    photographer.wait(QApplication.activeModalWidget)
    QApplication.activeModalWidget().filter.setCurrentIndex(2)


def take(folder: Path, language: str, theme: str, large: Path | None) -> None:
    """All dialogs in one language and theme."""
    photographer = chat_photographer(folder, language, theme, tag=f"-{language}-{theme}")
    window = photographer.session.window
    for name in ("about_action", "shortcuts_action", "models_action"):
        photographer.save_dialog(name, getattr(window, name).trigger)
    photographer.save_dialog("catalogue", lambda: open_catalogue(photographer))
    photographer.save_dialog("doctor", window.doctor_action.trigger, DOCTOR_MS)
    address = "https://example.org/a/rather/long/path?with=a&query=in%20it"
    photographer.save_dialog(
        "link", lambda: ask_to_open(address, window, tr("Open this address in your browser?"))
    )
    window.sidebar.trash_button.click()
    photographer.live(200)
    photographer.save("trash")
    if large is not None:
        load_streamed(photographer, large)
        photographer.save("streamed")
    scrolled = window.panel.findChild(QScrollArea).verticalScrollBar()
    scrolled.setValue(scrolled.maximum())
    photographer.live(200)
    photographer.save("panel_end")
    photographer.close()


def load_streamed(photographer: Photographer, large: Path) -> None:
    """Load a model with half of its size as the budget."""
    models = photographer.session.models
    budget = int(large.stat().st_size / (1 << 20) / 2) + 500
    streamed = {"memory_budget": budget, "swap_enabled": True}
    models.apply(photographer.session.preferences.load.model_copy(update=streamed))
    models.choose(large)
    photographer.wait(lambda: models.current is not None and models.path == large)
    photographer.live(2500)


def main() -> None:
    """Both languages, each in three themes."""
    folder = Path(sys.argv[1])
    large = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    for language in ("en", "zh_CN"):
        for theme in ("light", "dark", "high_contrast"):
            take(folder, language, theme, large)


if __name__ == "__main__":
    main()
