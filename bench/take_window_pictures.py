"""Pictures of the window and its dialogs in every size and theme, to be looked at.

    python bench/take_window_pictures.py FOLDER [--display :32] [--short]

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
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "app"), str(ROOT / "tests")]

from PySide6.QtWidgets import QApplication

from bench.photographer import Photographer
from r1desk import preferences as prefs
from r1desk.performance.widgets.panel import PanelTab
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


def opened(folder: Path, language: str, theme: str, size: str) -> Photographer:
    """The application in one look, with a few conversations."""

    def prepare(profile: Path) -> None:
        question, answer = TEXTS[language]
        for number in range(5):
            store_conversation(profile, f"{number + 1}. {question}", answer)

    stored = prefs.Preferences(language=language, theme=theme, welcomed=True)
    tag = f"-{size}-{language}-{theme}"
    photographer = Photographer(folder, stored, size=SIZES[size][1:], tag=tag, prepare=prepare)
    photographer.live(2500)
    return photographer


def window_pictures(photographer: Photographer) -> None:
    """The panel closed, and open at each tab."""
    window = photographer.session.window
    photographer.save("closed")
    for tab in PanelTab:
        window.open_panel(tab)
        photographer.live(500)
        photographer.save(f"panel-{tab.name.lower()}")
    window.panel_action.setChecked(False)
    photographer.session.chat.new_chat()
    photographer.live(800)
    photographer.save("new-chat")


def dialog_pictures(photographer: Photographer) -> None:
    """The chooser at each page, the settings, the shortcuts, the trash."""
    window = photographer.session.window
    window.models_action.trigger()
    photographer.live(1500)
    dialog = QApplication.activeModalWidget()
    for page in range(dialog.filter.count()):
        dialog.filter.setCurrentIndex(page)
        photographer.live(900)
        photographer.save(f"models-{page}", dialog)
    dialog.reject()
    photographer.save_dialog("settings", window.settings_action.trigger)
    photographer.save_dialog("shortcuts", window.shortcuts_action.trigger)
    photographer.save_dialog("about", window.about_action.trigger)
    window.sidebar.trash_button.click()
    photographer.live(200)
    photographer.save("trash")


def first_start(photographer: Photographer) -> None:
    """The card of the first start, in a new window."""
    session = photographer.session
    session.preferences.welcomed = False
    session._replace_window()
    session.chat.new_chat()
    photographer.live(4000)
    photographer.save("first-start")


def take(folder: Path, size: str, short: bool) -> None:
    """All looks of one size; the scale is fixed at the start of Qt."""
    for language, theme in LOOKS[:1] if short else LOOKS:
        photographer = opened(folder, language, theme, size)
        window_pictures(photographer)
        dialog_pictures(photographer)
        first_start(photographer)
        photographer.close()


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
    environment = {**os.environ, "DISPLAY": arguments.display, "QT_QPA_PLATFORM": "xcb"}
    server = ["Xvfb", arguments.display, "-screen", "0", "1366x768x24", "-nolisten", "tcp"]
    with subprocess.Popen(server, stderr=subprocess.DEVNULL) as screen:
        time.sleep(1.0)
        with subprocess.Popen(["openbox"], env=environment) as manager:
            for size, (scale, _, _) in SIZES.items():
                command = [sys.executable, *sys.argv, "--size", size]
                scaled = {**environment, "QT_SCALE_FACTOR": scale}
                subprocess.run(command, env=scaled, check=True)
            manager.terminate()
        screen.terminate()


if __name__ == "__main__":
    main()
