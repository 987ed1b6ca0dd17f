"""The chat view: what is built, and what it asks for."""

import time
from collections.abc import Callable, Iterator

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication, QPlainTextEdit, QPushButton, QToolButton
from pytestqt.qtbot import QtBot

from chat.shown_messages import ANSWER, Show, answer, conversation, text_of, user
from deepseek_r1.core.errors import EngineFailed
from deepseek_r1.core.events import FinishReason, GenerationStats
from r1desk.chat.composer.composer import Composer
from r1desk.chat.messages.message_list import MAX_BUILT
from r1desk.chat.messages.stats_line import stats_details, stats_line
from r1desk.chat.messages.view import ChatView
from r1desk.chat.messages.welcome import EXAMPLES
from r1desk.chat.text.code_box import CodeText
from r1desk.chat.text.message_selection import text_boxes
from r1desk.chat.text.prose_view import ProseView, document_text
from r1desk.chat.values.intents import (
    EditQuestion,
    Intent,
    OpenLink,
    Regenerate,
    ReturnToComposer,
    SelectVersion,
    Send,
)
from window.mouse_and_keys import click

Settled = Callable[[ChatView], None]
STATS = GenerationStats(
    finish_reason=FinishReason.STOP, completion_tokens=412, ttft_s=1.9, decode_s=41.9
)


def button(view: object, name: str) -> QToolButton:
    return next(b for b in view.findChildren(QToolButton) if b.accessibleName() == name)


# ---- the empty state


def test_an_empty_conversation_greets_and_offers_questions(view: ChatView, qtbot: QtBot) -> None:
    view.welcome.set_model_name("SmolLM2")
    text = list(EXAMPLES)[1]
    with qtbot.waitSignal(view.requested) as chosen:
        click(button(view, text))
    assert chosen.args == [Send(text)]
    view.welcome.show_questions(False)
    assert not any(button(view, example).isVisible() for example in EXAMPLES)
    assert view.welcome.preset_button.isVisible()
    view.welcome.show_presets([("Default", "chat"), ("Code", "code")], 0)
    with qtbot.waitSignal(view.welcome.preset_cards.chosen) as preset:
        click(button(view, "Code"))
    assert preset.args == [1]


def test_the_questions_stay_where_they_are_when_another_model_is_loaded(view, qtbot):
    view.welcome.set_model_name("SmolLM2", "A very small model.\nOften wrong.")
    QApplication.processEvents()
    before = button(view, list(EXAMPLES)[1]).mapTo(view, QPoint())
    view.welcome.set_model_name("Qwen3 1.7B")
    QApplication.processEvents()
    assert button(view, list(EXAMPLES)[1]).mapTo(view, QPoint()) == before


# ---- where things are


def test_with_nothing_to_scroll_no_scroll_bar_is_seen(view: ChatView, show: Show) -> None:
    bar = view.column.verticalScrollBar()
    show([user(1, "Hello"), answer(2, "Hello.")])
    assert not bar.isEnabled()  # the style sheet draws no handle then
    show([user(1, "Hello"), answer(2, "Hello.\n\n" * 100)])
    assert bar.isEnabled()


@pytest.mark.parametrize("width", [300, 784, 1400])
def test_messages_and_the_box_below_them_have_one_edge(view, show, width):
    view.resize(width, 700)
    show([user(1, "Hello"), answer(2, "Hello.")])
    composer = Composer(view.window())
    composer.resize(width, 60)
    shown = view.view(2)
    box = composer.box()
    assert (box.left(), box.right()) == (shown.x(), shown.x() + shown.width())


def test_the_way_to_the_end_covers_no_text(view: ChatView, show: Show) -> None:
    show([user(1, "Hello"), answer(2, "Hello.\n\n" * 100)])
    jump, bar = button(view, "Jump to the end"), view.column.verticalScrollBar()
    assert not jump.isVisible()
    bar.setValue(200)
    view.layout().activate()
    assert jump.isVisible()
    assert bar.value() == 200
    assert jump.y() >= view.column.geometry().bottom()
    click(jump)
    assert not jump.isVisible()
    assert bar.value() == bar.maximum()


def test_code_with_long_lines_begins_at_its_left_edge(view: ChatView, show: Show) -> None:
    view.resize(300, 700)
    line = "print('a line that is much longer than the box is wide, and then some')"
    show([user(1, "Code?"), answer(2, f"```\nshort\n{line}\n```")])
    code = view.view(2).findChild(CodeText)
    assert code.horizontalScrollBar().maximum() > 0
    assert code.horizontalScrollBar().value() == 0
    assert not code.textCursor().hasSelection()


# ---- long conversations


@pytest.mark.quiet
def test_a_conversation_of_100_000_tokens_opens_at_once_at_its_end(view, settled):
    messages = conversation(100_000)
    started = time.thread_time()
    view.show_branch(messages)
    assert time.thread_time() - started < 0.2
    settled(view)
    assert view.view(messages[-1].id) is not None
    assert view.view(messages[0].id) is None
    bar = view.column.verticalScrollBar()
    assert bar.value() == bar.maximum()


def test_scrolling_builds_what_comes_into_view_and_forgets_the_rest(view, settled):
    messages = conversation(100_000)
    view.show_branch(messages)
    bar = view.column.verticalScrollBar()
    for share in range(20, -1, -1):
        bar.setValue(bar.maximum() * share // 20)
        settled(view)
        assert view.column.built <= MAX_BUILT
    bar.setValue(0)
    settled(view)
    first = view.view(messages[0].id)
    assert first is not None
    assert first.isVisible()
    assert view.view(messages[-1].id) is None


def test_what_is_being_edited_stays_however_far_one_scrolls(view, settled):
    messages = conversation(100_000)
    view.show_branch(messages)
    settled(view)
    view.edit_last()
    editor = view.view(messages[-2].id).editor
    bar = view.column.verticalScrollBar()
    for share in range(20, -1, -1):
        bar.setValue(bar.maximum() * share // 20)
        settled(view)
    assert view.view(messages[-2].id).editor is editor


def test_another_conversation_may_be_shown_between_two_steps_of_building(view: ChatView) -> None:
    view.show_branch([user(1, "One."), answer(2, "Two.")])
    steps = view.column._filling_steps()
    next(steps)
    view.show_branch([user(3, "Three.")])
    list(steps)
    assert view.column.view(3) is not None


def test_what_is_read_stays_in_place_when_messages_above_get_their_true_height(
    view: ChatView, qtbot: QtBot, settled: Settled, show: Show
) -> None:
    show(conversation(50_000))
    bar = view.column.verticalScrollBar()
    bar.setValue(bar.maximum() // 2)

    def at_top() -> list[int]:
        found = [(m.id, view.view(m.id)) for m in view.messages]
        return [i for i, v in found if v and v.y() <= bar.value() < v.y() + v.height()]

    assert at_top() == []
    built = view.column.built
    qtbot.waitUntil(lambda: at_top() != [])
    seen = view.view(at_top()[0])
    before = seen.y() - bar.value()
    settled(view)
    assert view.column.built > built
    assert abs(seen.y() - bar.value() - before) <= 1


# ---- what the user asks for


def test_siblings_and_regeneration_are_asked_for(view: ChatView, qtbot: QtBot, show: Show) -> None:
    show([answer(6, "one", sibling_count=2), answer(7, "two", sibling_index=1, sibling_count=3)])
    assert not button(view.view(6), "Previous version").isEnabled()
    for name, intent in {
        "Previous version": SelectVersion(7, -1),
        "Next version": SelectVersion(7, 1),
        "Regenerate": Regenerate(7),
    }.items():
        with qtbot.waitSignal(view.requested) as asked:
            button(view.view(7), name).click()
        assert asked.args == [intent]


def test_a_failed_answer_says_why_and_can_be_tried_again(view, qtbot, show):
    died = EngineFailed(detail="The engine <b>died</b>.").report()
    show([answer(7, "half", state="failed", error=died)])
    again = next(b for b in view.view(7).findChildren(QPushButton) if b.isVisible())
    with qtbot.waitSignal(view.requested) as asked:
        again.click()
    assert asked.args == [Regenerate(7)]


@pytest.mark.parametrize(
    "modifiers", [Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier]
)
def test_editing_sends_the_new_text_with_enter(modifiers, view, qtbot, show):
    show([user(3, "helo"), answer(4, "hi")])
    view.edit_last()
    field = view.view(3).editor.findChild(QPlainTextEdit)
    assert field.toPlainText() == "helo"
    field.setPlainText("hello")
    asked: list[Intent] = []
    view.requested.connect(asked.append)
    qtbot.keyClick(field, Qt.Key.Key_Return, modifiers)
    assert asked == [ReturnToComposer(), EditQuestion(3, "hello")]
    assert view.view(3).editor is None


def test_escape_leaves_the_editor_and_changes_nothing(view, qtbot, show):
    show([user(3, "hello")])
    button(view.view(3), "Edit").click()
    with qtbot.waitSignal(view.requested) as asked:
        qtbot.keyClick(view.view(3).editor.findChild(QPlainTextEdit), Qt.Key.Key_Escape)
    assert asked.args == [ReturnToComposer()]
    assert text_of(view.view(3)) == "hello"


def test_a_link_is_told_and_not_followed(view: ChatView, qtbot: QtBot, show: Show) -> None:
    show([answer(1, "[x](https://a.example/p?q=1)")])
    prose = view.view(1).findChild(ProseView)
    with qtbot.waitSignal(view.requested) as told:
        prose.setFocus()
        qtbot.keyClick(prose, Qt.Key.Key_Tab)
        qtbot.keyClick(prose, Qt.Key.Key_Return)
    assert told.args == [OpenLink("https://a.example/p?q=1")]
    assert prose.source().isEmpty()


# ---- the user's own texts


@pytest.mark.quiet
@pytest.mark.parametrize("text", ["x" * 1_000_000, "word " * 200_000, "line\n" * 200_000])
def test_a_huge_message_is_folded_and_shows_at_once(text: str, view: ChatView, show: Show) -> None:
    started = time.thread_time()
    show([user(1, text)])
    assert time.thread_time() - started < 0.5
    assert view.view(1).more
    assert len(text_of(view.view(1))) < 5_000


@pytest.mark.parametrize("lines", [6_000, 60])
def test_a_folded_message_unfolds_to_the_exact_text(view, settled, show, lines):
    text = "\n".join(f"line {n}" for n in range(lines))
    show([user(1, text)])
    assert view.view(1).more
    assert text_of(view.view(1)).splitlines()[-1] == "line 11"
    more = next(b for b in view.view(1).findChildren(QToolButton) if "Show all" in b.text())
    more.click()
    settled(view)
    assert text_of(view.view(1)) == text


def test_code_and_formulas_of_a_users_message_are_set_and_all_else_is_as_typed(view, qtbot, show):
    text = "Is $5 enough?\n\n  *why*  <b>\n    `x`"
    text += "\n```py\nx = 1\n\n```\n\n\\(x^2\\) and\n\n$$x$$\n~~~\nopen"
    show([user(1, text)])
    first, code, last, unclosed = text_boxes(view.view(1))
    assert document_text(first.document()) == "Is $5 enough?\n\n  *why*  <b>\n    `x`"
    assert (code.toPlainText(), unclosed.toPlainText()) == ("x = 1\n", "open")
    qtbot.waitUntil(lambda: last.toPlainText().count("\ufffc") == 2)
    assert document_text(last.document()) == "\\(x^2\\) and\n\n$$x$$"


# ---- numbers, names, colours


def test_the_numbers_under_an_answer() -> None:
    assert stats_line(STATS, "") == "9.8 tok/s · 412 tokens"
    fast = STATS.model_copy(update={"decode_s": 6.5})
    assert stats_line(fast, "DeepSeek R1 Distill Qwen 7B Q4_K_M") == "R1 7B · 63 tok/s · 412 tokens"
    assert "First token after 1.9 s" in stats_details(STATS, "")
    for reason, words in {
        FinishReason.LENGTH: "length limit",
        FinishReason.CONTEXT: "context full",
        FinishReason.CANCELLED: "stopped",
        FinishReason.ERROR: "engine failed",
    }.items():
        assert stats_line(STATS.model_copy(update={"finish_reason": reason}), "").endswith(words)


def test_every_button_has_a_name(view: ChatView, show: Show) -> None:
    show([user(1, "x" * 30_000), answer(2, ANSWER, thinking="t", sibling_count=2, stats=STATS)])
    for found in view.findChildren(QToolButton):
        assert found.accessibleName(), found.objectName()


def test_the_buttons_below_a_question_are_drawn_where_the_mouse_or_the_keyboard_is(
    view: ChatView, qtbot: QtBot, show: Show
) -> None:
    messages = [
        user(1, "Hello"),
        answer(2, "Hello.", stats=STATS),
        user(3, "Bye"),
        answer(4, "Bye."),
        user(5, "Well?", sibling_count=2),
        answer(6, "Well."),
    ]
    show(messages)
    buttons = {message.id: button(view.view(message.id), "Copy") for message in messages}

    def drawn() -> list[int]:
        pictures = {key: copy.parentWidget().grab().toImage() for key, copy in buttons.items()}
        return [key for key, picture in pictures.items() if len(set(colours(picture))) > 1]

    def colours(picture: QImage) -> Iterator[int]:
        return (
            picture.pixel(x, y) for x in range(picture.width()) for y in range(picture.height())
        )

    place = view.view(3).geometry()
    assert drawn() == [2, 4, 5, 6]  # of versions always
    qtbot.mouseMove(view.view(3), view.view(3).rect().center())
    qtbot.waitUntil(lambda: drawn() == [2, 3, 4, 5, 6])
    qtbot.mouseMove(view.view(4), view.view(4).rect().center())
    qtbot.waitUntil(lambda: drawn() == [2, 4, 5, 6])
    view.column.setFocus()
    qtbot.keyClick(view.column, Qt.Key.Key_Tab)
    assert drawn() == [1, 2, 4, 5, 6]
    assert view.view(3).geometry() == place


def test_tab_goes_from_top_to_bottom(view: ChatView, qtbot: QtBot, show: Show) -> None:
    show([user(1, "a"), answer(2, "b [x](http://a.example)", thinking="t"), user(3, "c")])
    bar = view.column.verticalScrollBar()
    view.column.setFocus()
    heights = []
    for _ in range(8):
        qtbot.keyClick(view.window().focusWidget(), Qt.Key.Key_Tab)
        focused = view.window().focusWidget()
        heights.append(focused.mapTo(view, focused.rect().topLeft()).y() + bar.value())
    assert len(set(heights)) >= 4
    assert heights == sorted(heights)
