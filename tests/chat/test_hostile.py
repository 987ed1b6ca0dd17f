"""Hostile texts: drawn in time, never loaded from, copied exactly."""

import time
from collections.abc import Callable

import pytest
from hostile_texts import EACH, TEXTS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QUrl
from PySide6.QtGui import QColor, QGuiApplication, QImage, QTextDocument
from PySide6.QtWidgets import QToolButton
from pytestqt.qtbot import QtBot

from chat.shown_messages import text_of
from r1desk.chat.messages.view import ChatView
from r1desk.chat.text.markdown_view import MarkdownView
from r1desk.chat.text.prose_view import ProseView
from r1desk.store import ChatMessage

Bodies = Callable[[], MarkdownView]
WITHOUT_REPETITION = 2_000  # characters; the longer texts only go on with the same


def load(qtbot: QtBot, body: MarkdownView, text: str) -> None:
    body.load(text)
    qtbot.waitUntil(lambda: body.finished)
    body.fit_width(700)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TEXTS))
def test_no_step_of_drawing_a_hostile_text_takes_long(name, qtbot, make_body):
    # 50 ms of the processor on a quiet machine. Other work makes a step longer, never shorter.
    assert any(longest_step(make_body(), TEXTS[name]) < 0.15 for _ in range(3))


def longest_step(body: MarkdownView, source: str) -> float:
    """Seconds of the processor, in the slices in which the view draws a stored text."""
    body.source = source
    longest = 0.0
    while body._consumed < len(source):
        started = time.thread_time()
        body._consume_slice()
        body.fit_width(700)
        longest = max(longest, time.thread_time() - started)
    started = time.thread_time()
    body.finish()
    body.fit_width(700)
    return max(longest, time.thread_time() - started)


@pytest.mark.parametrize("name", EACH)
def test_no_picture_and_no_foreign_link_is_ever_in_a_document(name, qtbot, make_body):
    body = make_body()
    load(qtbot, body, TEXTS[name][:WITHOUT_REPETITION])
    for prose in body.findChildren(ProseView):
        for fmt in prose.document().allFormats():
            assert not fmt.isImageFormat()
            if fmt.isCharFormat() and fmt.toCharFormat().isAnchor():
                address = QUrl(fmt.toCharFormat().anchorHref())
                assert address.scheme() in {"http", "https"}
                assert address.host()


@pytest.mark.parametrize("name", EACH)
def test_copying_gives_the_exact_text(name: str, view: ChatView, qtbot: QtBot) -> None:
    text = TEXTS[name]
    view.show_branch([ChatMessage(1, "assistant", text, thinking="secret", thinking_s=1.0)])
    qtbot.waitUntil(lambda: view.view(1) is not None)
    copy = next(b for b in view.view(1).findChildren(QToolButton) if b.accessibleName() == "Copy")
    copy.click()
    copied = QGuiApplication.clipboard().text()
    assert copied == "".join(c if not "\ud800" <= c <= "\udfff" else "\ufffd" for c in text)


def test_whatever_is_asked_of_a_document_a_blank_picture_is_given(tmp_path, qtbot, make_body):
    path = tmp_path / "red.png"
    red = QImage(8, 8, QImage.Format.Format_RGB32)
    red.fill(QColor("#ff0000"))
    red.save(str(path))
    body = make_body()
    load(qtbot, body, f"![alt]({path})")
    assert text_of(body) == "[image not loaded: alt]"
    prose = body.findChild(ProseView)
    kinds = QTextDocument.ResourceType
    for url in (str(path), f"file://{path}", "qrc:/x", "http://127.0.0.1:9/", "//host/x"):
        for kind in (kinds.ImageResource, kinds.HtmlResource, kinds.StyleSheetResource):
            given_back = prose.document().resource(kind, QUrl(url))
            assert isinstance(given_back, QImage)
            assert given_back.pixelColor(0, 0).alpha() == 0


@pytest.mark.parametrize(("text", "shown"), [
    ("[passwords](file:///etc/passwd)", "passwords (file:///etc/passwd)"),
    ("[run](javascript:alert(1))", "run (javascript:alert(1))"),
    ("[https://bank.example/login](https://evil.example/x)",
     "https://bank.example/login (evil.example)"),
    ("[here](https://a.example)", "here"),
    ("a\x00b user\u202egpj.exe", "a␀b user⟨RLO⟩gpj.exe"),
    ("```c\nx\u200b\u2066y\n```\n", "x⟨ZWSP⟩⟨LRI⟩y"),
    ("<b onclick=x>bold</b><br onclick=x> one<BR/>two<br>\nthree",
     "<b onclick=x>bold</b><br onclick=x> one\ntwo\nthree"),
])  # fmt: skip
def test_what_would_mislead_is_seen_and_html_is_text_but_for_a_break(text, shown, qtbot, make_body):
    """Where a link leads, and what is invisible or would reorder the text."""
    body = make_body()
    load(qtbot, body, text)
    assert text_of(body) == shown


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.text(alphabet=st.sampled_from(list("ab*_~`[]()!<>#-+|:\\\n 1.\t\"'&;=长\x00\u202e")),
               max_size=300))  # fmt: skip
def test_any_text_is_drawn_the_same_streamed_or_whole(qtbot, make_body, text) -> None:
    whole, streamed = make_body(), make_body()
    load(qtbot, whole, text)
    for at in range(0, len(text), 3):
        streamed.feed(text[at : at + 3])
        streamed.fit_width(700)
    streamed.finish()
    assert text_of(streamed) == text_of(whole)
    assert streamed.fit_width(700) == whole.fit_width(700)
    for body in (whole, streamed):
        body.hide()
        body.deleteLater()
