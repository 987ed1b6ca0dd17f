"""A question about documents: what is planned, shown, sent, and looked up afterwards."""

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QGuiApplication, QWheelEvent
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from chat.chat_stack import CONTEXT, ChatStack
from deepseek_r1.core.errors import EngineFailed, ErrorReport
from deepseek_r1.core.events import ModelFacts
from deepseek_r1.documents.document import Block, Document, Passage, Place
from deepseek_r1.documents.errors import DocumentEmpty, DocumentIsPicture
from deepseek_r1.documents.page_drawing import DrawnPage
from deepseek_r1.host.protocol import (
    CancelRequest,
    EmbeddingReply,
    ErrorReply,
    PrepareRequest,
    SimilaritiesRequest,
)
from r1desk.chat.context import file_reader
from r1desk.chat.context.chat_documents import ChatDocuments
from r1desk.chat.context.loaded_model import MeasuredSpeed, TokenCounter
from r1desk.chat.context.prompt_preparation import DocumentPrefill
from r1desk.chat.messages.document_pane import DocumentPane
from r1desk.chat.presenters.document_lists import UnreadFiles
from r1desk.chat.presenters.document_presenter import PassagesDialog
from r1desk.chat.values.prompt import DocumentsMissing, document_text
from r1desk.store import AnswerSources, Attachment
from r1desk.widgets.notice_bar import NoticeBar
from support.awaiting import begun, result_of
from support.models_double import ModelsDouble, SettingsDouble

FACTS = ModelFacts(
    path="", name="M", architecture="", file_mib=0, parameters=0, quantisation="",
    context_length=10 * CONTEXT, context_trained=1000, vocabulary=1, reasons=False, engine="",
    embedding_model="E",
)  # fmt: skip


def pages(count: int) -> Document:
    texts = (f"Page {n}. The warden of gate {n} is Ann-{n}. " + "Oak and stone. " * 40 for n in
             range(1, count + 1))  # fmt: skip
    blocks = tuple(Block(text, Place(page=n)) for n, text in enumerate(texts, 1))
    return Document("gates.pdf", f"{count:064x}", "pdf", count, blocks)


@pytest.fixture
def documents(stack: ChatStack) -> Iterator[ChatDocuments]:
    counter = TokenCounter(stack.engine.bridge, ModelsDouble(0))
    stack.chat.models.context_length = 10 * CONTEXT
    made = ChatDocuments(
        stack.chat,
        counter,
        stack.history,
        speed=MeasuredSpeed(stack.chat),
        settings=SettingsDouble(stack.settings.sampling, "Be brief."),
    )
    yield made
    made.close()


def reading_of(stack: ChatStack) -> DocumentPrefill:
    stack.chat.models.facts = FACTS
    return DocumentPrefill(stack.chat)


def attached(documents: ChatDocuments, document: Document) -> Attachment:
    documents.index.add(document)
    return Attachment(document.name, sha256=document.sha256, pages=document.pages or 0)


def planned(documents, file, chosen=None) -> AnswerSources:
    return result_of(documents.plan("Who is the warden of gate 7?", [file], chosen))


def test_what_fits_is_read_whole_and_stands_before_the_instructions(qtbot, stack, documents):
    file = attached(documents, pages(8))
    sources = planned(documents, file)
    assert sources.whole
    assert len(sources.sent) == 8
    text = document_text(documents.index, sources)
    assert "The warden of gate 7 is Ann-7." in text
    assert text == document_text(documents.index, sources.model_copy(update={"sent": ()}))


def test_a_short_file_is_read_whole_beside_a_long_one_and_searched_where_that_is_chosen(
    qtbot, stack, documents
):
    short, long = (attached(documents, pages(count)) for count in (4, 60))
    asking = documents.plan("Who is the warden of gate 47?", [short, long])
    sources = result_of(asking)
    assert (sources.documents, sources.whole) == ((short.sha256,), False)
    assert "· whole document, " in sources.summary("")
    assert sources.passages()[0].passage.place.page == 47
    text = document_text(documents.index, sources)
    assert text.index("gate 4 is Ann-4.") < text.index("Document: gates.pdf", 99)
    stack.do(stack.chat.send, "Who is the warden of gate 47?", (short, long), sources)
    assert "Ann-47." in stack.engine.asked.messages[-1].content
    stack.answer("Ann-47.")
    qtbot.waitUntil(lambda: documents.shown == (short, long))
    documents.set_searched([short.sha256], searched=True)
    qtbot.waitUntil(lambda: documents.shown == (replace(short, searched=True), long))
    assert result_of(documents.plan("Who is the warden of gate 2?")).documents == ()


def test_what_would_take_minutes_to_read_is_searched_until_it_is_wanted_whole(
    qtbot, stack, documents, tmp_path
):
    """A greeting had five minutes of a document read before it was answered."""
    short, long = tmp_path / "short.txt", tmp_path / "long.txt"
    for file, gates in ((short, 4), (long, 60)):
        file.write_text(pages(gates).text(), encoding="utf-8")
    documents._speed.prefill_tok_s = 20.0  # of a slow laptop
    documents.files.read([str(short), str(long)])
    qtbot.waitUntil(lambda: len(documents.draft) == 2)
    assert [each.searched for each in documents.draft] == [False, True]
    documents.set_searched([documents.draft[1].sha256], searched=False)
    qtbot.waitUntil(lambda: not documents.draft[1].searched)


def test_an_edited_question_has_the_room_of_what_stood_below_it(qtbot, stack, documents):
    stack.do(stack.chat.send, "Who?", (attached(documents, pages(8)),))
    stack.answer("word " * 6_000)
    assert result_of(documents.plan("Which gate?", edited=stack.shown[0].id)).whole


def test_passages_stand_with_their_question_until_documents_are_asked_again(
    qtbot, stack, documents
):
    file = attached(documents, pages(60))
    sources = planned(documents, file)
    assert not sources.whole
    assert sources.sent[0].passage.place.page == 7
    stack.do(stack.chat.send, "Who is the warden of gate 7?", (file,), sources)
    asked = stack.engine.asked.messages[-1].content
    assert "Ann-7." in asked
    assert asked.endswith("Who is the warden of gate 7?")
    stack.answer("It is Ann-7 [1], not Bob [99].")
    assert stack.shown[0].content == "Who is the warden of gate 7?"
    assert sum(source.cited for source in stack.shown[1].sources.sent) == 1
    stack.send("And?")
    assert stack.engine.asked.messages[-3].content == asked
    stack.answer("Nobody else.")
    later = result_of(documents.plan("Who is the warden of gate 9?"))
    assert later.passages()
    stack.do(stack.chat.send, "Who is the warden of gate 9?", (), later)
    *_, first, _, _, _, last = (each.content for each in stack.engine.asked.messages)
    assert first == "Who is the warden of gate 7?"
    assert "Ann-9." in last
    stack.answer("It is Ann-9 [1].")
    thanks = result_of(documents.plan("Thanks, that helps!"))
    stack.do(stack.chat.send, "Thanks, that helps!", (), thanks)
    assert all("Ann-9." not in each.content for each in stack.engine.asked.messages[:-2])


def compared(qtbot, stack, documents):
    """A question whose passages are being compared: its planning, and what the engine is asked."""
    documents._models.ready, documents._models.facts = True, FACTS
    asking = documents.plan("Who is the warden of gate 7?", [attached(documents, pages(60))])
    planning = begun(asking, documents)
    qtbot.waitUntil(lambda: bool(stack.engine.of_kind(SimilaritiesRequest)))
    return planning, *stack.engine.of_kind(SimilaritiesRequest)


def test_an_embedding_model_orders_the_passages_and_the_window_says_so(qtbot, stack, documents):
    said: list[bool] = []
    documents.counter.comparing.connect(said.append)
    planning, asked = compared(qtbot, stack, documents)
    assert said == [True]
    assert asked.question == "Who is the warden of gate 7?"
    assert len(asked.passages) == 20
    near = (-99.0, *(float(-number) for number in range(1, 20)))
    stack.engine.reply(EmbeddingReply(id=asked.id, values=near))
    assert result_of(planning).sent[0].passage.text == asked.passages[1]
    assert said == [True, False]


def test_a_question_is_given_back_where_comparing_fails(qtbot, stack, documents):
    planning, asked = compared(qtbot, stack, documents)
    report = EngineFailed(detail="it crashed").report()
    stack.engine.reply(ErrorReply(id=asked.id, report=report))
    with pytest.raises(EngineFailed):
        result_of(planning)


def test_passages_that_are_unticked_are_not_sent_and_found_ones_are(qtbot, documents):
    file = attached(documents, pages(60))
    sources = planned(documents, file)
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = PassagesDialog(
        sources, "Who is the warden of gate 7?", documents, [file.sha256], parent
    )
    dialog.show()
    shown = [source.passage for source in sources.sent]
    assert dialog.chosen() == shown
    assert "warden of gate 7" in dialog.list.item(0).text()
    click_row(qtbot, dialog, 0)
    dialog.query.setText("gate 44 Ann")
    qtbot.keyClick(dialog.query, Qt.Key.Key_Return)
    assert dialog.isVisible()  # it sends nothing
    qtbot.waitUntil(lambda: dialog.list.count() > len(shown))
    assert dialog.chosen() == shown[1:]  # what is found is not yet chosen
    click_row(qtbot, dialog, len(shown))
    chosen = dialog.chosen()
    assert any(each.place.page == 44 for each in chosen)
    assert dialog.send.text() == f"Ask again with {len(chosen)} passages"
    again = planned(documents, file, chosen)
    assert {source.passage for source in again.sent} <= set(chosen)


def click_row(qtbot, dialog: PassagesDialog, row: int) -> None:
    dialog.list.scrollToItem(dialog.list.item(row))
    place = dialog.list.visualItemRect(dialog.list.item(row)).center()
    qtbot.mouseClick(dialog.list.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_a_message_about_something_else_gets_no_passages_and_the_outline_of_before(
    qtbot, stack, documents
):
    file = attached(documents, pages(60))
    sources = planned(documents, file)
    stack.do(stack.chat.send, "Who is the warden of gate 7?", (file,), sources)
    stack.answer("It is Ann-7 [1].")
    qtbot.waitUntil(lambda: documents.shown == (file,))
    later = result_of(documents.plan("Thanks, that helps!"))
    assert later.sent == ()
    assert (later.outline, later.asked) == (sources.outline, "Thanks, that helps!")
    assert "Nothing in the documents fits" in later.summary("")
    follow_up = result_of(documents.plan("And of gate 8?"))
    assert 8 in {each.passage.place.page for each in follow_up.sent}


@pytest.fixture
def pane(qtbot: QtBot) -> DocumentPane:
    pane = DocumentPane()
    qtbot.addWidget(pane)
    pane.begin("gates.pdf", "0")
    pane.show()
    return pane


@pytest.fixture
def drawn(pane: DocumentPane, documents: ChatDocuments) -> DocumentPane:
    """A document of 60 pages that are drawn."""
    file = attached(documents, pages(60))
    pane.show_passages(documents.index.passages(file.sha256), drawn=True)
    return pane


PAGE = DrawnPage(300, 3_000, bytes(3 * 300 * 3_000), ())


def test_a_document_opens_at_a_passage_and_is_searched_from_there(qtbot, pane, documents):
    file = attached(documents, pages(600))
    passages = documents.index.passages(file.sha256)
    pane.show_passages(passages)
    pane.show_passage(passages[-2], "The warden of gate 599 is Ann-599.")
    assert not pane.field.extraSelections()  # a long text is filled in bit by bit
    qtbot.waitUntil(lambda: bool(pane.field.extraSelections()))
    (mark,) = pane.field.extraSelections()
    assert mark.cursor.selectedText() == "The warden of gate 599 is Ann-599."
    assert pane.page.value() == 599
    pane.find_field.setText("ann-3. ")
    qtbot.keyClick(pane.find_field, Qt.Key.Key_Return)
    assert pane.field.textCursor().selectedText() == "Ann-3. "
    qtbot.waitUntil(lambda: "Ann-600." in pane.field.toPlainText())
    assert pane.field.toPlainText().startswith("— page 1 —")
    pane.page.setValue(59)
    assert "— page 59 —" in pane.field.textCursor().block().previous().previous().text()


def test_headings_lists_and_tables_are_seen_and_a_sentence_in_them_is_marked(
    qtbot, pane, documents
):
    place, sheet = Place(heading="1. Rent"), Place(sheet="Costs", row=1)
    blocks = (
        Block("1. Rent", place), Block("The rent is 900 euros.", place),
        Block("• Water", place), Block("• Gas", place),
        Block("fruit | price", sheet), Block("apple | 3", sheet), Block("𝄞 fig | 12", sheet),
    )  # fmt: skip
    file = attached(documents, Document("lease.docx", "c" * 64, "docx", None, blocks))
    passages = documents.index.passages(file.sha256)
    pane.show_passages(passages)
    qtbot.waitUntil(lambda: "fig" in pane.field.toPlainText())
    lines = pane.field.toPlainText().split("\n")
    assert lines[:6] == ["1. Rent", "", "The rent is 900 euros.", "", "• Water", ""]
    assert lines[-3:] == ["fruit │ price", "apple │ 3", "𝄞 fig │ 12"]
    starts = [pane.field.document().findBlockByNumber(n).begin() for n in (0, 2)]
    heading, text = (each.fragment().charFormat().fontPointSize() for each in starts)
    assert heading > text
    pane.show_passage(passages[-1], "𝄞 fig | 12")
    (mark,) = pane.field.extraSelections()
    assert mark.cursor.selectedText() == "fig │ 12"


def test_a_workbook_names_the_sheet_and_the_row_that_are_seen(qtbot, pane):
    places = [Place(sheet="Rent", row=row) for row in (1, 41)] + [Place(sheet="Tax", row=1)]
    text = "\n".join(f"gate {number} | open" for number in range(40))
    passages = [
        Passage("0", "gates.xlsx", number, place, text, 400 * number, 400 * number + 399)
        for number, place in enumerate(places)
    ]
    pane.show_passages(passages)
    assert pane.place.text() == "Rent, row 1"
    qtbot.waitUntil(lambda: "— Tax —" in pane.field.toPlainText())
    pane.show_passage(passages[1], "gate 7 | open")
    assert pane.place.text() == "Rent, row 41"
    pane.field.verticalScrollBar().setValue(pane.field.verticalScrollBar().maximum())
    assert pane.place.text() == "Tax, row 1"
    pane.show_passages([Passage("", "a.txt", 0, Place(page=1), "Text", 0, 4)])
    assert not pane.place.isVisible()


def test_pages_are_wanted_turned_and_searched_where_they_are_drawn(qtbot, drawn):
    pane, wanted = drawn, []
    pane.page_wanted.connect(lambda page, _width, marked: wanted.append((page, marked)))
    pane.show_passage(Passage("0", "gates.pdf", 6, Place(page=7), "", 0, 9), "gate 7")
    assert wanted[-1] == (7, "gate 7")
    qtbot.keyClick(pane, Qt.Key.Key_PageDown)
    assert wanted[-1] == (8, "")
    pane.find_field.setText("ann-3.")
    qtbot.keyClick(pane.find_field, Qt.Key.Key_Return)
    assert wanted[-1] == (3, "ann-3.")
    copied = []
    pane.copied.connect(lambda *what: copied.append(what))
    pane.copy_button.click()
    assert copied == [("ann-3.", "page 3")]
    pane.show_text_instead("It takes too long.")
    assert (pane.note.text(), pane.field.isVisible()) == ("It takes too long.", True)
    pane.begin("b.pdf", "ab" * 32)
    assert not pane.find_field.text()


def test_a_page_that_was_read_from_a_picture_names_how_sure_its_text_is_and_dots_what_is_not(
    qtbot, pane
):
    mark = "[Read from a picture, 97% sure.]\n"
    places = (Place(page=1, sure=0.97), Place(page=2))
    pane.show_passages(
        [
            Passage("0", "gates.pdf", n, each, f"{mark}Gate 4S.", 0, 9)
            for n, each in enumerate(places)
        ],
        drawn=True,
    )
    wanted: list[str] = []
    pane.page_wanted.connect(lambda _page, _width, marked: wanted.append(marked))
    pane.show_passage(Passage("0", "gates.pdf", 0, places[0], "", 0, 9), f"{mark}Gate 4S.")
    assert wanted == ["Gate 4S."]
    assert pane.note.text() == "Read from a picture · 97% sure"
    white = bytes([255]) * (3 * 300 * 200)
    pane.show_page(1, DrawnPage(300, 200, white, ((20, 50, 80, 30),), ((60, 50, 40, 30),)))
    assert "dotted words" in pane.note.text()
    shown = pane.sheet.picture.pixmap().toImage()
    below = [shown.pixelColor(x, 79) for x in range(60, 100)]
    assert any(each.red() > 2 * each.blue() and each.red() > 2 * each.green() for each in below)
    assert any(each.green() > 2 * each.blue() for each in below)  # the mark between the dots
    pane.page.setValue(2)
    pane.show_page(2, DrawnPage(300, 200, white, ()))
    assert not pane.note.text()
    pane.as_text.setChecked(True)
    pane.show_passage(Passage("0", "gates.pdf", 0, places[0], "", 0, 9), "Gate 4S.")
    qtbot.waitUntil(lambda: "Gate" in pane.field.toPlainText())
    assert pane.field.toPlainText().startswith("— page 1 —\n\nGate 4S.")  # it stands above
    assert pane.note.text() == "Read from a picture · 97% sure"


def turn_wheel(
    pane: DocumentPane,
    by: int,
    *,
    sideways: int = 0,
    keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
) -> None:
    place, none = QPointF(9, 9), Qt.MouseButton.NoButton
    by_px, phase = QPoint(sideways, by), Qt.ScrollPhase.NoScrollPhase
    event = QWheelEvent(place, place, QPoint(), by_px, none, keys, phase, False)
    QApplication.sendEvent(pane.sheet.viewport(), event)


def test_the_wheel_turns_the_page_where_it_ends(qtbot, drawn):
    pane, bar = drawn, drawn.sheet.verticalScrollBar()
    pane.show_page(1, PAGE)
    turn_wheel(pane, -120)
    assert (pane.page.value(), bar.value() > 0) == (1, True)  # it scrolls
    bar.setValue(bar.maximum())
    turn_wheel(pane, 0, sideways=120)
    assert pane.page.value() == 1
    turn_wheel(pane, -120)
    turn_wheel(pane, -120)  # a wheel that runs on turns no further page
    assert pane.page.value() == 2
    pane.show_page(2, PAGE)
    assert bar.value() == 0
    qtbot.waitUntil(lambda: not pane.sheet._turning.isActive())
    turn_wheel(pane, 120)
    assert pane.page.value() == 1
    pane.show_page(1, PAGE)
    assert bar.value() == bar.maximum()


@pytest.mark.parametrize("has_keyboard", ["sheet", "find_field"])
def test_page_down_scrolls_and_turns_the_page_where_it_ends(qtbot, drawn, has_keyboard):
    pane, bar = drawn, drawn.sheet.verticalScrollBar()
    pane.show_page(1, PAGE)
    field = getattr(pane, has_keyboard)
    qtbot.keyClick(field, Qt.Key.Key_PageDown)
    assert (pane.page.value(), bar.value() > 0) == (1, True)
    bar.setValue(bar.maximum())
    qtbot.keyClick(field, Qt.Key.Key_PageDown)
    assert pane.page.value() == 2
    pane.show_page(2, PAGE)
    qtbot.keyClick(field, Qt.Key.Key_PageUp)
    assert pane.page.value() == 1
    pane.show_page(1, PAGE)
    assert bar.value() == bar.maximum()


def test_with_ctrl_the_wheel_has_the_page_drawn_larger_and_never_smaller_than_the_pane(
    qtbot, drawn
):
    pane = drawn
    width = pane.sheet.viewport().width()
    for by, is_larger in ((240, True), (-600, False)):
        with qtbot.waitSignal(pane.page_wanted) as wanted:
            turn_wheel(pane, by, keys=Qt.KeyboardModifier.ControlModifier)
        page, width_px, _marked = wanted.args
        assert page == 1
        assert (width_px > 1.5 * width) == is_larger
        assert width_px >= width


def test_a_passage_of_a_document_that_is_gone_shows_an_empty_text_and_why(qtbot, pane, documents):
    file = attached(documents, pages(8))
    passages = documents.index.passages(file.sha256)
    pane.show_passages([], note="It is gone.")
    pane.show_passage(passages[-1], passages[-1].text)
    qtbot.wait(50)
    assert (pane.note.text(), pane.field.toPlainText()) == ("It is gone.", "")


def test_a_question_is_not_answered_without_a_document_that_is_gone(qtbot, documents):
    with pytest.raises(DocumentsMissing, match=r"The text of lost\.pdf is not on this computer\."):
        result_of(documents.plan("Why?", [Attachment("lost.pdf", sha256="f" * 64)]))


def test_an_answer_is_not_given_anew_without_a_document_it_was_given(qtbot, documents):
    sources = planned(documents, attached(documents, pages(8)))
    documents.index.remove(sources.documents[0])
    assert document_text(documents.index, sources)  # what is prepared and counted needs no document
    with pytest.raises(DocumentsMissing, match=r"The text of gates\.pdf"):
        document_text(documents.index, sources, strict=True)


def test_the_failure_of_an_earlier_reading_does_not_end_the_one_begun_since(
    qtbot: QtBot, stack: ChatStack, documents: ChatDocuments
) -> None:
    first, second = (attached(documents, pages(count)).sha256 for count in (2, 3))
    reading = reading_of(stack)
    reading.start((first,))
    qtbot.waitUntil(lambda: reading.is_running)
    reading.start((first, second))
    qtbot.waitUntil(lambda: len(stack.engine.of_kind(PrepareRequest)) == 2)
    old, new = stack.engine.of_kind(PrepareRequest)
    assert new.owner == f"document:{first} document:{second}"
    stack.engine.reply(ErrorReply(id=old.id, report=DocumentsMissing(names="old").report()))
    assert reading.is_running
    stack.engine.reply(ErrorReply(id=new.id, report=DocumentsMissing(names="new").report()))
    assert not reading.is_running
    reading.pause()


def test_a_reading_that_is_stopped_while_its_text_is_fetched_does_not_begin(
    qtbot: QtBot, stack: ChatStack, documents: ChatDocuments
) -> None:
    first, second = (attached(documents, pages(count)).sha256 for count in (2, 3))
    reading = reading_of(stack)
    reading.start((first,))
    stack.chat.stop()
    qtbot.wait(200)  # it would have begun by now
    assert not reading.is_running
    reading.start((second,))
    qtbot.waitUntil(lambda: reading.is_running)
    reading.pause()


def test_the_text_of_a_document_that_is_deleted_is_read_no_further(qtbot, stack, documents):
    file, other = (attached(documents, pages(count)) for count in (8, 9))
    stack.exchange("Who?", "Ann.", file, other)
    reading = reading_of(stack)
    documents.cleaned.connect(reading.forget)
    reading.start((file.sha256, other.sha256))
    qtbot.waitUntil(lambda: reading.is_running)
    documents.remove(other.sha256)
    qtbot.waitUntil(lambda: bool(stack.engine.of_kind(CancelRequest)))


def test_what_was_read_behind_another_document_is_not_read_alone(stack, documents):
    reading = reading_of(stack)
    a, b, c = (attached(documents, pages(count)).sha256 for count in (2, 3, 4))
    sources = AnswerSources(documents=(a, b), whole=True)
    stack.do(stack.chat.send, "Why?", (), sources)
    stack.answer("So.")
    assert reading.read_of((a, b, c)) == (a, b)
    assert reading.read_of((b,)) == reading.read_of((b, a)) == ()
    reading.forget({b})
    assert reading.read_of((a, b)) == ()


def test_what_is_attached_before_a_chat_is_shown_stands_behind_the_files_of_its_draft(
    stack: ChatStack, documents: ChatDocuments
) -> None:
    stored, since = (attached(documents, pages(count)) for count in (8, 9))
    documents.change_draft((since,))
    stack.chat.draft_restored.emit("", (stored,))
    assert documents.draft == (stored, since)


def test_the_text_goes_with_the_last_chat_that_has_the_document(qtbot, stack, documents):
    kept, gone = (attached(documents, pages(count)) for count in (8, 9))
    stack.exchange("Who?", "Ann.", kept, gone)
    with qtbot.waitSignal(documents.cleaned):
        documents.remove(gone.sha256)
    assert [each.sha256 for each in documents.index.documents()] == [kept.sha256]


def test_the_text_stays_while_the_deleted_message_that_has_it_can_be_brought_back(
    qtbot: QtBot, stack: ChatStack, documents: ChatDocuments
) -> None:
    file = attached(documents, pages(8))
    stack.exchange("Who?", "Ann.", file)
    stack.do(stack.actions.delete, stack.shown[0].id)
    documents.clean([file.sha256], for_good=False)  # attached once more, and taken off
    qtbot.wait(100)
    stack.history.undo()
    qtbot.waitUntil(lambda: len(stack.shown) == 2)
    assert documents.index.document(file.sha256) is not None
    assert planned(documents, file).whole


def test_at_the_start_texts_that_nothing_has_go_and_new_ones_stay(
    qtbot: QtBot, stack: ChatStack, documents: ChatDocuments, tmp_path: Path
) -> None:
    kept, gone = (attached(documents, pages(count)) for count in (8, 9))
    stack.exchange("Who?", "Ann.", kept)
    documents.index.added.clear()  # they are of the session before
    new = attached(documents, pages(10))
    with qtbot.waitSignal(documents.cleaned) as cleaned:
        documents.clean()
    assert cleaned.args == [{gone.sha256}]
    there = [each.sha256 for each in documents.index.documents()]
    assert there == [kept.sha256, new.sha256]


def test_files_of_folders_are_looked_at_again_after_the_store_has_refused_once(
    qtbot: QtBot, stack: ChatStack, documents: ChatDocuments, tmp_path: Path
) -> None:
    (file := tmp_path / "notes.txt").write_text("Oak and stone.", encoding="utf-8")
    old = pages(8)
    documents.index.add(old, str(file), 5)
    folder = stack.read(lambda store: store.folders.create("Gates", ()))
    attachment = Attachment(old.name, sha256=old.sha256, pages=8)
    stack.read(lambda store: store.attachments.add_to_folder(folder, attachment))
    stack.disk.full = True
    stack.do(documents.check_files)
    stack.disk.full = False
    documents.check_files()
    in_folders = partial(stack.read, lambda store: store.attachments.in_folders())
    qtbot.waitUntil(lambda: old.sha256 not in in_folders())


def test_the_files_that_wait_are_those_that_will_be_read(qtbot, documents, tmp_path, monkeypatch):
    monkeypatch.setattr(file_reader, "MAX_FILES", 3)
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text(f"Gate {number}.", encoding="utf-8")
    left: list[int] = []
    documents.files.file_read.connect(lambda reading, _file: left.append(reading.left))
    documents.files.read([str(tmp_path)])
    qtbot.waitUntil(lambda: not documents.files.readings)
    assert len(left) == 3
    assert left[-1] == 0


def test_a_changed_file_that_cannot_be_read_any_more_is_refused_once(
    qtbot: QtBot, stack: ChatStack, documents: ChatDocuments, tmp_path: Path
) -> None:
    (file := tmp_path / "notes.txt").write_text("Oak and stone.", encoding="utf-8")
    document = pages(8)
    documents.index.add(document, str(file), file.stat().st_mtime_ns)
    attachment = Attachment(document.name, sha256=document.sha256, pages=8)
    stack.exchange("Who?", "Ann.", attachment)
    file.write_bytes(b"\0\1\2" * 99)
    os.utime(file, ns=(5, 5))
    refused: list[ErrorReport] = []

    async def reread() -> None:
        async for refusal in documents.files.reread({document.sha256}):
            refused.append(refusal)

    for _ in range(2):
        result_of(reread())
    assert len(refused) == 1
    assert "notes.txt" in refused[0].text()
    assert documents.index.document(document.sha256) is not None


def test_a_picture_without_the_extra_offers_the_command_that_installs_it(qtbot, documents):
    window = QWidget()
    window.notices = bar = NoticeBar(window)
    qtbot.addWidget(window)
    UnreadFiles(window, documents.files, "files")
    documents.files.refuse(DocumentEmpty(name="a.txt"))
    assert not bar.rows[0].buttons
    documents.files.refuse(DocumentIsPicture(name="scan.png"))
    (copy,) = bar.rows[0].buttons
    qtbot.mouseClick(copy, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == 'pip install "r1desk[ocr]"'
