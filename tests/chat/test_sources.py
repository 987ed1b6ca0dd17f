"""An answer about documents: its citations, what it was given, and both in exports."""

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QTextCursor
from PySide6.QtTest import QTest

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


def test_a_citation_is_followed_by_keyboard_and_by_the_chip_below_the_answer(view, show, qtbot):
    show_cited(show, "See [2].")
    wanted: list[object] = []
    view.requested.connect(wanted.append)
    (prose,) = view.view(2).body.findChildren(ProseView)
    assert prose.focusPolicy() & Qt.FocusPolicy.TabFocus
    prose.setFocus()
    qtbot.keyClick(prose, Qt.Key.Key_Tab)
    qtbot.keyClick(prose, Qt.Key.Key_Return)
    assert labels(view) == ["page 12", "1 source · 2 passages"]
    click(view, 0)
    shown = [OpenAttachment(SOURCES.sent[1].passage, "Text 2.")] * 2  # the sentence
    assert wanted == shown
    (again,) = view.view(2).sources.chips[1].chip.buttons[0].choices
    again.act()
    assert wanted == [*shown, ChangePassages(2)]


def labels(view: ChatView) -> list[str]:
    return [each.chip.label for each in view.view(2).sources.chips]


def click(view: ChatView, chip: int) -> None:
    button = view.view(2).sources.chips[chip].open_button
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def passages(*texts: str, name: str = "a.txt") -> tuple[Source, ...]:
    places = [Place(line=n) for n in range(1, len(texts) + 1)]
    return tuple(
        Source(n, Passage("ab" * 32, name, n, place, text, 0, 9))
        for n, (text, place) in enumerate(zip(texts, places, strict=True), 1)
    )


def test_below_an_answer_stands_what_has_its_names_and_numbers_and_no_other(view, show):
    texts = "The ferry of Marlow sails at 9:45.", "Bread and salt.", "Nothing happens."
    sources = AnswerSources(sent=passages(*texts), tokens=1240)
    show_cited(show, "It sails from Marlow at 9:45.", sources)
    assert labels(view) == ["line 1", "1 source · 3 passages"]
    row = view.view(2).sources
    assert row.isVisible()
    assert row.geometry().top() >= view.view(2).body.geometry().bottom()
    assert row.chips[0].open_button.accessibleName() == "Source: line 1"
    assert sources.text("It sails from Marlow at 9:45.") == f"[1] a.txt, line 1\n{texts[0]}"
    assert sources.text("A pin holds a package. [7]") == ""


def test_three_sources_are_named_and_the_menu_of_the_last_chip_has_the_others(view, show):
    sources = AnswerSources(sent=passages(*["Commas end a field."] * 5), whole=True)
    show_cited(show, "Commas do.", sources)
    assert labels(view) == ["line 1", "line 2", "line 3", "2 more"]
    menu = view.view(2).sources.chips[3].chip.buttons[0].choices
    assert [each.label for each in menu] == ["line 4", "line 5"]


def test_an_answer_that_no_passage_carries_says_so_without_a_menu(view, show):
    sources = AnswerSources(sent=passages("The name is sent by mail."), tokens=9, whole=True)
    show_cited(show, "Nobody knows.", sources)
    assert labels(view) == ["No source · whole document"]


def test_the_sentence_nearest_to_answer_and_question_is_marked_where_the_answer_only_cites(
    view, show
):
    text = "Heating is 9 euros. Noise ends at ten. The lease of the bakery ends in May."
    sources = AnswerSources(sent=passages(text), question="When does the lease end?", whole=True)
    show_cited(show, "[1].", sources)
    wanted: list[object] = []
    view.requested.connect(wanted.append)
    click(view, 0)
    sentence = "The lease of the bakery ends in May."
    assert wanted == [OpenAttachment(sources.sent[0].passage, sentence)]


def test_an_answer_that_is_being_written_has_no_sources_yet(view, show):
    show([user(1, "Why?"), answer(2, "It is", sources=SOURCES, state="streaming")])
    assert view.view(2).sources is None


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
