"""An answer about documents: its citations, what it was given, and both in exports."""

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QTextCursor

from chat.shown_messages import Show, answer, user
from deepseek_r1.documents.document import Passage, Place, Source
from r1desk.chat.messages.view import ChatView
from r1desk.chat.text.prose_view import ProseView
from r1desk.chat.values.intents import ChangePassages, OpenAttachment
from r1desk.store import AnswerSources, Store
from r1desk.store.archive import export_json, export_markdown
from support.foreign_exports import import_into


def source(n: int, *, cited: bool = False) -> Source:
    place = Place(page=n + 10)
    return Source(n, Passage("ab" * 32, "report.pdf", n, place, f"Text {n}.", 0, 7), cited)


SOURCES = AnswerSources(sent=(source(1), source(2)), tokens=1240)


def links(view: ChatView) -> dict[str, str]:
    """The texts of all links of the answer, with their addresses."""
    found: dict[str, str] = {}
    for prose in view.view(2).body.findChildren(ProseView):
        cursor = QTextCursor(prose.document())
        for position in range(prose.document().characterCount() - 1):
            cursor.setPosition(position)
            cursor.setPosition(position + 1, QTextCursor.MoveMode.KeepAnchor)
            if href := cursor.charFormat().anchorHref():
                found[href] = found.get(href, "") + cursor.selectedText()
    return found


def show_cited(show: Show, text: str, sources: AnswerSources | None = SOURCES) -> None:
    given = sources and sources.of_answer(text)
    show([user(1, "Why?"), answer(2, text, sources=given)])


def test_a_citation_of_what_was_sent_is_a_link_and_no_other_number(view, show):
    show_cited(show, "So it is [1], not [7]. 【2】\n\n| a |\n|---|\n| [1, 2] |")
    assert links(view) == {"source:1": "[1]1", "source:2": "【2】2"}


@pytest.mark.parametrize(
    "text", ["`x[1]`", "```\nx[1]\n```", r"\(x_[1]\)", "[x](source:1)", r"$$y[1]$$"]
)
def test_code_formulas_and_links_of_the_model_cite_nothing(view, show, text):
    show_cited(show, text)
    assert links(view) == {}


def test_brackets_are_text_where_no_document_was_asked_about(view: ChatView, show: Show) -> None:
    show_cited(show, "The list is [1].", sources=None)
    assert links(view) == {}
    assert view.view(2).sources is None


def test_a_citation_is_followed_by_keyboard_and_a_menu_lists_what_was_sent(view, show, qtbot):
    show_cited(show, "See [2].")
    wanted: list[object] = []
    view.requested.connect(wanted.append)
    (prose,) = view.view(2).body.findChildren(ProseView)
    assert prose.focusPolicy() & Qt.FocusPolicy.TabFocus
    prose.setFocus()
    qtbot.keyClick(prose, Qt.Key.Key_Tab)
    qtbot.keyClick(prose, Qt.Key.Key_Return)
    button = view.view(2).sources
    assert button.accessibleName() == "1 source · 2 passages"
    assert menu_of(button) == ["[2] report.pdf, page 12 · cited", "Change…"]
    button.menu().actions()[0].trigger()
    button.menu().actions()[1].trigger()
    shown = [OpenAttachment(SOURCES.sent[1].passage, "See")] * 2  # the claim
    assert wanted == [*shown, ChangePassages(2)]


def menu_of(button) -> list[str]:
    button.menu().aboutToShow.emit()
    return [entry.text() for entry in button.menu().actions()]


def test_a_button_whose_menu_was_left_elsewhere_is_no_longer_below_the_pointer(view, show):
    show_cited(show, "See [2].")
    button = view.view(2).sources
    button.setAttribute(Qt.WidgetAttribute.WA_UnderMouse)  # the menu gets what would end it
    button.menu().aboutToHide.emit()
    assert not button.underMouse()


def test_an_answer_that_cites_nothing_lists_what_has_its_names_and_numbers_and_no_other(view, show):
    texts = "The ferry of Marlow sails at 9:45.", "Bread and salt.", "At 9:45 nothing happens."
    given = [
        Source(n, Passage("ab" * 32, "a.txt", n, Place(), t, 0, 9)) for n, t in enumerate(texts, 1)
    ]
    sources = AnswerSources(sent=tuple(given), tokens=1240)
    show_cited(show, "It sails from Marlow at 9:45.", sources)
    button = view.view(2).sources
    assert button.accessibleName() == "The answer cites nothing · 3 passages"
    assert menu_of(button) == ["[1] a.txt · not cited", "Change…"]
    assert sources.text("It sails from Marlow at 9:45.") == f"[1] a.txt\n{texts[0]}"
    assert sources.text("A pin holds a package. [7]") == ""


def test_the_nearest_passage_can_be_looked_at_where_an_answer_is_from_none(view, show):
    texts = "The name is sent by mail.", "No commas, no parentheses.", "Commas end a field."
    given = [
        Source(n, Passage("ab" * 32, "a.txt", n, Place(), t, 0, 9)) for n, t in enumerate(texts, 1)
    ]
    sources = AnswerSources(sent=tuple(given), tokens=1240, whole=True)
    show_cited(show, "None with commas or parentheses.", sources)
    button = view.view(2).sources
    assert button.text() == "The answer cites nothing · whole document"
    assert menu_of(button) == ["[2] a.txt · not cited"]
    show_cited(show, "Nobody knows.", sources)
    assert menu_of(view.view(2).sources) == []


def test_what_an_answer_is_given_stands_above_it_while_it_is_written(view, show):
    show([user(1, "Why?"), answer(2, "It is", sources=SOURCES, state="streaming")])
    button = view.view(2).sources
    assert button.isVisible()
    assert button.accessibleName() == "2 passages"
    assert button.geometry().bottom() <= view.view(2).body.geometry().top()


def test_sources_are_stored_exported_and_imported(tmp_path: Path) -> None:
    with Store(tmp_path / "one.db") as store, Store(tmp_path / "two.db") as other:
        key = store.conversations.create().id
        question = store.messages.append_user(key, "Why?", None)
        given = SOURCES.of_answer("Because [1].")
        begun = store.messages.begin_answer(key, question.id, "R1", given)
        store.messages.finish_answer(begun.id, "Because [1].")
        assert store.messages.path(key)[-1].sources == given
        export_json(store, tmp_path / "all.json")
        (copy,) = import_into(other, tmp_path / "all.json").ids
        assert other.messages.path(copy)[-1].sources == given
        export_markdown(store, tmp_path / "all.md")
    text = (tmp_path / "all.md").read_text(encoding="utf-8")
    assert "1 source · 2 passages" in text
    assert "Text 2." not in text
    assert "[1] report.pdf, page 11\nText 1." in text
