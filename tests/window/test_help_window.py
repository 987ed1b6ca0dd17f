"""The guides inside of the application."""

from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtWidgets import QMessageBox
from pytestqt.qtbot import QtBot

from deepseek_r1.core.i18n import use_language
from r1desk.shell.help_dialogs import HelpWindow
from window.mouse_and_keys import press, type_text


@pytest.fixture(params=["en", "zh_CN"])
def guides(qtbot: QtBot, request: pytest.FixtureRequest) -> Iterator[HelpWindow]:
    use_language(request.param)
    window = HelpWindow(None)
    window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, on=False)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitUntil(window.isActiveWindow)
    qtbot.waitUntil(lambda: window.guides.count() > 0)
    yield window
    use_language("en")


def listed(window: HelpWindow) -> int:
    return sum(not window.guides.item(row).isHidden() for row in range(window.guides.count()))


def test_what_is_typed_before_the_guides_are_read_is_found(qtbot: QtBot) -> None:
    window = HelpWindow(None)
    qtbot.addWidget(window)
    window.show()
    window.search.setText("Open WebUI")  # their thread cannot have answered yet
    qtbot.waitUntil(lambda: window.page.textCursor().selectedText() == "Open WebUI")
    assert listed(window) < window.guides.count()


def test_words_are_found_in_all_guides_and_enter_goes_on(guides: HelpWindow) -> None:
    everything = listed(guides)
    guides.search.setFocus()
    type_text("Open WebUI")
    assert 0 < listed(guides) < everything
    assert guides.page.textCursor().selectedText() == "Open WebUI"
    first = guides.page.textCursor().position()
    press(Qt.Key.Key_Return)
    assert guides.page.textCursor().position() != first


def test_the_first_guide_with_a_word_is_one_about_the_window(guides: HelpWindow) -> None:
    guides.search.setText("embedding")
    assert guides.guides.currentItem().data(Qt.ItemDataRole.UserRole) == "documents"


def test_links_lead_to_guides_and_out_only_after_a_question(guides: HelpWindow) -> None:
    for name in ("serve", "library"):
        guides.page.anchorClicked.emit(QUrl(f"{name}.md"))
        assert guides.guides.currentItem().data(Qt.ItemDataRole.UserRole) == name
    assert "](../" not in guides.page.document().toMarkdown()  # pages that are not here
    guides.page.anchorClicked.emit(QUrl("https://example.org/"))
    (box,) = guides.findChildren(QMessageBox)
    assert "example.org" in box.informativeText()
    box.reject()


def test_a_link_to_a_section_scrolls_to_it(guides: HelpWindow) -> None:
    is_english = guides.windowTitle() == "Help"
    section = "following-a-schema" if is_english else "遵守模式schema"
    guides.page.anchorClicked.emit(QUrl(f"generate.md#{section}"))
    assert guides.page.verticalScrollBar().value() > 0
    heading = "Following a schema" if is_english else "遵守模式（schema）"
    assert guides.page.textCursor().selectedText() == heading
