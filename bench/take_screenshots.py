"""Today's pictures of the real window, for the README.

    python bench/take_screenshots.py [FOLDER]       # docs/pictures by default

Runs the application offscreen with the starter model, asks it, and saves the window at 1366x768:
light, high contrast, a document and a comparison in English, light and dark in Chinese. Every other
view: `take_window_pictures.py`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "app"), str(ROOT / "tests")]

from PySide6.QtWidgets import QApplication

from bench.photographer import Photographer, chat_photographer
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import Role
from r1desk.chat.values.intents import AttachFiles
from r1desk.comparison.widgets.comparison_dialog import ComparisonDialog
from r1desk.comparison.widgets.comparison_page import ComparisonPage
from r1desk.conversations.conversation_intents import NewChat
from r1desk.store import ChatMessage
from support.document_files import pdf, pdf_lines

QUESTIONS = {
    "en": (
        "Write a Python function that checks whether a number is prime, and explain it in two "
        "sentences.",
        "Why is the sky blue? Two sentences, please.",
    ),
    "zh_CN": ("用 Python 写一个函数，返回列表中的最大值。",),
}
REPORT = (
    "Harbour report",
    "",
    "In spring the outer wall was found to be unsafe. Divers saw cracks of",
    "two metres below the light.",
    "",
    "The harbour was closed on 4 May because the wall had to be mended. It",
    "opened again on 17 June, two days earlier than was planned.",
    "",
    "Meanwhile the ferry sailed from the old quay, six times a day. It had",
    "41,200 passengers, a tenth less than in the year before.",
    "",
    "The repair took 3,100 tonnes of stone. Its price was 2.4 million, of",
    "which the town paid a third.",
)
THEMES = {"en": "high_contrast", "zh_CN": "dark"}


def take(folder: Path, language: str) -> None:
    """The pictures in one language."""
    photographer = chat_photographer(folder, language, "light")
    tag = f"-{language}" if language != "en" else ""
    for question in QUESTIONS[language]:
        photographer.ask(question)
    photographer.save(f"light{tag}")
    photographer.session.appearance.set_theme(THEMES[language])
    photographer.live(600)
    photographer.wait(photographer.session.window.updatesEnabled)  # the theme changes in turns
    photographer.live(600)
    photographer.save(f"{THEMES[language]}{tag}")
    if language == "en":
        photographer.session.appearance.set_theme("light")
        document(photographer)
        compare(photographer)
    photographer.close()


def document(photographer: Photographer) -> None:
    """A page of a PDF beside the answer, with the sentence that it is from."""
    session = photographer.session
    window = session.window
    window.panel_action.setChecked(False)
    window.sidebar.requested.emit(NewChat())
    with TemporaryDirectory() as folder:
        (file := Path(folder) / "Harbour report.pdf").write_bytes(pdf([pdf_lines(*REPORT)]))
        window.composer.requested.emit(AttachFiles((str(file),)))
        photographer.wait(lambda: bool(session.chat_feature.documents.draft))
        window.composer.set_text("Why was the harbour closed?")
        window.composer.submit()
        photographer.wait(lambda: session.chat.shown_branch[-1:] and not session.chat.busy)
        answer = session.chat.shown_branch[-1]
        photographer.wait(lambda: window.chat.view(answer.id).sources is not None)
        window.chat.view(answer.id).sources.chips[0].open_button.click()
        photographer.wait(lambda: not window.document.sheet.picture.pixmap().isNull())
        photographer.live(1000)
        photographer.save("document")
        window.document.close_button.click()
        photographer.live(300)


def compare(photographer: Photographer) -> None:
    """Two columns of the starter model, of which one is given more freedom."""
    session = photographer.session
    session.window.panel_action.setChecked(False)
    session.chat.comparison_wanted.emit(ChatMessage(0, Role.USER, QUESTIONS["en"][1]))
    photographer.wait(lambda: isinstance(QApplication.activeModalWidget(), ComparisonDialog))
    dialog = QApplication.activeModalWidget()
    dialog.choices[1].model.setCurrentIndex(1)
    dialog.choices[1].temperature.setValue(1.2)
    photographer.wait(dialog.start.isEnabled)
    dialog.start.click()
    stop = tr("Stop")
    photographer.wait(lambda: session.window.findChildren(ComparisonPage))
    (page,) = session.window.findChildren(ComparisonPage)
    photographer.wait(lambda: all(column.button.text() != stop for column in page.columns))
    photographer.live(1000)
    photographer.save("compare")


def main() -> None:
    """Take them all."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures"
    for language in QUESTIONS:
        take(folder, language)


if __name__ == "__main__":
    main()
