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
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "app"), str(ROOT / "tests")]

from support.photographer import chat_photographer

QUESTIONS = {
    "en": (
        "Write a Python function that checks whether a number is prime, and explain it in two "
        "sentences.",
        "Why is the sky blue? Two sentences, please.",
    ),
    "zh_CN": ("用 Python 写一个函数，返回列表中的最大值。",),
}


def take(folder: Path, language: str, suffix: str = "") -> None:
    """All pictures in one language."""
    photographer = chat_photographer(folder, language, "light")
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
            photographer.live(600)
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
