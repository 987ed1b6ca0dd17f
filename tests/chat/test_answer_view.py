"""An answer being written: drawn as it comes, followed, and at its end exactly as stored."""

import re
from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QToolButton
from pytestqt.qtbot import QtBot

from chat.shown_messages import ANSWER, Show, answer, conversation, text_of, user
from deepseek_r1.core.errors import PromptTooLong
from deepseek_r1.core.events import (
    AnswerDelta,
    FinishReason,
    GenerationStats,
    PrefillProgress,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingFinished,
)
from r1desk.chat.messages.view import ChatView
from r1desk.chat.text.code_box import CodeBox
from r1desk.chat.text.prose_view import ProseView, document_text
from r1desk.chat.text.text_style import chat_colours
from r1desk.chat.values.intents import ContextOption, ContextOptions, ContextWay, WithdrawQuestion

Settled = Callable[[ChatView], None]
STATS = GenerationStats(
    finish_reason=FinishReason.STOP, completion_tokens=412, ttft_s=1.9, decode_s=41.9
)


@pytest.fixture
def drawn(qtbot: QtBot, settled: Settled) -> Settled:
    """Wait until all that was streamed into a view is drawn, however rarely it draws."""

    def wait(view: ChatView) -> None:
        qtbot.waitUntil(lambda: not view._throttle._timer.isActive())
        settled(view)

    return wait


def stream_in(view: ChatView, qtbot: QtBot, text: str, *, size: int = 7) -> None:
    view.show_branch([*view.messages, answer(50, "", state="streaming")])
    for at in range(0, len(text), size):
        view.stream(50, AnswerDelta(text=text[at : at + size]))
        if at % (size * 10) == 0:
            qtbot.wait(1)


def test_a_streamed_answer_looks_exactly_like_the_stored_one(view, qtbot, settled, show):
    text = ANSWER * 3
    stream_in(view, qtbot, text)
    view.finish_stream(answer(50, text, stats=STATS))
    settled(view)
    streamed = view.view(50)
    shown, picture = text_of(streamed.body), streamed.body.grab().toImage()
    view.show_branch([])
    show([answer(50, text, stats=STATS)])
    assert view.view(50) is not streamed
    assert text_of(view.view(50).body) == shown
    assert view.view(50).body.grab().toImage() == picture


def colours_of(picture: QImage) -> set[str]:
    places = ((x, y) for x in range(picture.width()) for y in range(picture.height()))
    return {picture.pixelColor(*place).name() for place in places}


def test_marks_beside_the_text_are_drawn_outside_of_a_selection_and_copied(view, show):
    show([answer(50, "---\n\n```\nx\n```\n\n- one\n  1. two\n- [x] three\n- [ ] four")])
    rule, items = view.view(50).body.findChildren(ProseView)
    colours = chat_colours()
    assert colours.edge.name() in colours_of(rule.grab().toImage()), "a rule above a code box"
    items.selectAll()
    left = colours_of(items.grab().toImage().copy(0, 0, 18, items.height()))
    assert {colours.dim.name(), colours.accent.name()} <= left
    assert document_text(items.document()) == "- one\n  1. two\n- [x] three\n- [ ] four"


def test_a_branch_that_grew_keeps_what_is_built(view: ChatView, show: Show) -> None:
    first = [user(1, "One?"), answer(2, "Two.", stats=STATS)]
    show(first)
    built = [view.view(1), view.view(2)]
    show([user(1, "One?"), answer(2, "Two.", stats=STATS), user(3, "Three?")])
    assert [view.view(1), view.view(2)] == built
    show([user(1, "One?"), answer(2, "Two!", stats=STATS)])
    assert view.view(1) is built[0]
    assert view.view(2) is not built[1]
    assert view.view(3) is None


def test_finished_blocks_are_not_drawn_again(view: ChatView, qtbot: QtBot, drawn: Settled) -> None:
    stream_in(view, qtbot, "```py\nx = 1\n```\n\nfirst\n\n")
    drawn(view)
    box = view.view(50).findChild(CodeBox)
    assert box is not None
    for _ in range(30):
        view.stream(50, AnswerDelta(text="more words\n\n"))
        qtbot.wait(3)
    drawn(view)
    assert text_of(view.view(50).body).count("more words") == 30
    assert view.view(50).findChild(CodeBox) is box


@pytest.mark.parametrize(
    "pieces",
    [("```", "python\nx = 1", "\n```\n"), ("```py", "thon\nx = 1\n```"), ("```", "python\n")],
)
def test_a_language_that_comes_in_pieces_is_the_codes_language(make_body, pieces):
    body = make_body()
    for piece in pieces:
        body.feed(piece)
    body.finish()
    (box,) = [box for box in body.findChildren(CodeBox) if not box.isHidden()]
    assert box.language == "python"


def test_the_text_that_differs_at_the_end_is_replaced(view, qtbot, settled):
    stream_in(view, qtbot, "almost")
    view.finish_stream(answer(50, "exactly"))
    settled(view)
    assert text_of(view.view(50).body) == "exactly"


def test_the_view_follows_the_stream_until_the_reader_scrolls_up(view, qtbot, show, drawn):
    show(conversation(5_000))
    stream_in(view, qtbot, ANSWER)
    drawn(view)
    bar = view.column.verticalScrollBar()
    assert bar.value() == bar.maximum()
    bar.setValue(bar.maximum() - 200)
    here = bar.value()
    for _ in range(20):
        view.stream(50, AnswerDelta(text="more\n\n"))
    drawn(view)
    assert bar.value() == here
    jump = view.findChild(QToolButton, "jump")
    assert jump.isVisible()
    jump.click()
    view.stream(50, AnswerDelta(text="end\n\n" * 5))
    drawn(view)
    assert bar.value() == bar.maximum()
    assert not jump.isVisible()


def test_reading_progress_is_told_until_the_first_word(view: ChatView, qtbot: QtBot) -> None:
    view.show_branch([*view.messages, answer(50, "", state="streaming")])
    view.stream(50, PrefillProgress(done=1240, total=3800, cached=2560))
    assert view.view(50)._status.label.text() == "Reading 1,240 of 3,800 tokens (2,560 remembered)"
    view.stream(50, AnswerDelta(text="Hi"))
    qtbot.waitUntil(lambda: view.view(50)._status is None)


def test_an_answer_under_way_streams_on_and_words_for_another_are_ignored(view, drawn) -> None:
    view.show_branch([user(1, "hi"), answer(2, "so far ", state="streaming")])
    view.stream(77, AnswerDelta(text="lost"))
    view.stream(77, ThinkingDelta(text="lost"))
    view.stream(77, ThinkingFinished(seconds=1.0))
    view.stream(2, AnswerDelta(text="and on"))
    drawn(view)
    assert [(m.id, m.content) for m in view.messages] == [(1, "hi"), (2, "so far and on")]
    assert text_of(view.view(2).body) == "so far and on"


# ---- thinking


def test_thinking_is_folded_and_opens_with_the_keyboard(view, qtbot, settled, show):
    show([answer(1, "Yes.", thinking="Let me *see*.", thinking_s=12.34)])
    box = view.view(1).thinking
    assert not box.is_open
    assert box.header.text() == "Thought for 12 s"
    header = box.findChild(QToolButton, "thinking")
    folded = view.view(1).height()
    header.setFocus()
    qtbot.keyClick(header, Qt.Key.Key_Space)
    settled(view)
    assert box.is_open
    assert view.view(1).height() > folded
    assert "Let me see." in text_of(box)


def test_thinking_that_was_opened_stays_open_in_a_message_that_is_built_again_or_goes_on(
    view: ChatView, qtbot: QtBot, show: Show, drawn: Settled
) -> None:
    branch = [answer(1, "Yes.", thinking="Let me see."), answer(2, "", thinking="First. ")]
    show([answer(1, "Yes.", thinking="Well."), *branch[1:]])
    header = view.view(2).thinking.findChild(QToolButton, "thinking")
    qtbot.mouseClick(header, Qt.MouseButton.LeftButton)
    show([user(3, "Another chat")])
    show(branch)
    assert [view.view(key).thinking.is_open for key in (1, 2)] == [False, True]
    show([branch[0], answer(2, "", thinking="First. ", state="streaming")])
    view.stream(2, ThinkingDelta(text="Second."))
    drawn(view)
    box = view.view(2).thinking
    assert box.is_open
    assert "First. Second." in text_of(box)


def test_thinking_counts_its_seconds_while_it_streams(view: ChatView, qtbot: QtBot) -> None:
    view.show_branch([*view.messages, answer(50, "", state="streaming")])
    view.stream(50, ThinkingDelta(text="hm "))
    qtbot.waitUntil(lambda: view.view(50).thinking is not None)
    header = view.view(50).thinking.header.text
    first = header()
    assert re.fullmatch(r"Thinking… \d+ s", first)
    qtbot.waitUntil(lambda: header() != first)
    assert re.fullmatch(r"Thinking… \d+ s", header())
    view.stream(50, ThinkingFinished(seconds=1.5))
    assert view.view(50).thinking.header.text() == "Thought for a moment"
    view.stream(50, AnswerDelta(text="Done."))
    view.finish_stream(answer(50, "Done.", thinking="hm ", thinking_s=3.21))
    assert view.view(50).thinking.header.text() == "Thought for 3 s"


def test_the_folded_thinking_shows_its_last_line(view: ChatView, qtbot: QtBot) -> None:
    view.show_branch([*view.messages, answer(50, "", state="streaming")])
    view.stream(50, ThinkingDelta(text="First I look.\n\nThen I *count* the apples"))
    qtbot.waitUntil(lambda: view.view(50).thinking is not None)
    box = view.view(50).thinking
    assert box.last_line.text() == "Then I *count* the apples"
    box.findChild(QToolButton, "thinking").click()
    assert box.last_line.text() == ""  # all of it is shown now
    box.findChild(QToolButton, "thinking").click()
    assert box.answer_now.isVisible()
    view.stream(50, ThinkingFinished(seconds=187.4, end=ThinkingEnd.BUDGET))
    assert box.last_line.text() == "Then I *count* the apples"
    assert box.end_note.text() == "The thinking budget was used up, so it answered."
    assert not box.answer_now.isVisible()
    assert box.header.text() == "Thought for 3 min 7 s"


def test_an_end_inside_the_thinking_is_explained_in_the_answers_place(view, show):
    stats = GenerationStats(finish_reason=FinishReason.LENGTH, completion_tokens=64)
    show(
        [
            answer(1, "", thinking="Let me see", stats=stats),
            answer(2, "", thinking="Let me see", state="stopped"),
            answer(3, "Yes.", thinking="Let me see", stats=stats),
        ]
    )
    cut, stopped, whole = (view.view(number).note for number in (1, 2, 3))
    assert cut.label.text().startswith("It reached the longest answer before it finished thinking")
    assert stopped.label.text() == "Stopped while thinking."
    assert whole is None


def test_a_queued_answer_says_what_it_waits_for_until_it_begins(view, show, drawn, qtbot):
    show([answer(2, "so far", state="streaming"), user(3, "next"), answer(4, "", state="queued")])
    waiting = view.view(4).ways
    assert waiting.label.text() == "Queued"
    with qtbot.waitSignal(view.requested) as requested:
        qtbot.mouseClick(waiting.buttons[0], Qt.MouseButton.LeftButton)
    assert requested.args == [WithdrawQuestion(4)]
    view.stream(2, AnswerDelta(text=" and on"))
    drawn(view)
    assert text_of(view.view(2).body) == "so far and on"
    view.finish_stream(answer(2, "so far and on"))
    view.show_branch([*view.messages[:2], answer(4, "", state="streaming")])
    view.stream(4, AnswerDelta(text="Yes."))
    drawn(view)
    assert text_of(view.view(4).body) == "Yes."


def test_tab_visits_the_ways_to_go_on_in_reading_order(view: ChatView, show: Show) -> None:
    report = PromptTooLong(tokens=479, context=512, reserve=100).report()
    refused = answer(2, "", state="failed", error=report)
    show([user(1, "Hello"), refused])
    ways = (ContextWay.LONGER, ContextWay.LEAVE_OUT, ContextWay.SUMMARY)
    options = tuple(ContextOption(way, way.value, "a price") for way in ways)
    view.show_context_options(ContextOptions(2, "It is full", options))
    card = view.view(2).ways
    assert card.label.text() == "It is full"
    first, second, third = card.buttons
    assert first.nextInFocusChain() is second
    assert second.nextInFocusChain() is third
