"""Footnotes: raised labels in the text, the notes where they were written."""

from __future__ import annotations

from collections.abc import Callable

from r1desk.chat.text.markdown_view import MarkdownView


def shown(make_body: Callable[[], MarkdownView], text: str) -> str:
    body = make_body()
    body.load(text)
    return body.plain_text()


def test_references_and_notes_show_their_label(make_body: Callable[[], MarkdownView]) -> None:
    text = shown(
        make_body, "A claim[^1] and another[^note].\n\n[^1]: First.\n[^note]: Second\nline."
    )
    assert text == "A claim[1] and another[note].\n[1] First.\n[note] Second\nline."


def test_a_note_may_follow_a_paragraph_at_once(make_body: Callable[[], MarkdownView]) -> None:
    assert shown(make_body, "Text[^a]\n[^a]: *Note*") == "Text[a]\n[a] Note"


def test_brackets_that_are_no_footnote_stay(make_body: Callable[[], MarkdownView]) -> None:
    assert shown(make_body, "x[^ ]y [^] [^a b]") == "x[^ ]y [^] [^a b]"
