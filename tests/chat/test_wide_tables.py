"""Tables that are wider than the column keep their words and scroll; they are copied with tabs."""

from collections.abc import Callable

from r1desk.chat.text.markdown_view import MarkdownView
from r1desk.chat.text.prose_view import ProseView

WIDE = (
    "| " + " | ".join(f"column_number_{n}" for n in range(12)) + " |\n" + "|---" * 12 + "|\n"
    "| " + " | ".join(f"value_{n}" for n in range(12)) + " |\n"
)  # fmt: skip


def table_view(body: MarkdownView) -> ProseView:
    return next(view for view in body.findChildren(ProseView) if view.scrolls)


def test_a_wide_table_scrolls_and_begins_at_its_left(make_body: Callable[[], MarkdownView]) -> None:
    body = make_body()
    body.load(f"before\n\n{WIDE}\nafter")
    body.fit_width(400)
    view = table_view(body)
    assert view.document().size().width() > 400
    assert view.horizontalScrollBar().maximum() > 0
    assert view.horizontalScrollBar().value() == 0
    assert view.width() == 400


def test_a_narrow_table_has_no_scroll_bar(make_body: Callable[[], MarkdownView]) -> None:
    body = make_body()
    body.load("| a | b |\n|---|---|\n| 1 | 2 |")
    body.fit_width(400)
    assert table_view(body).horizontalScrollBar().maximum() == 0


def test_a_copied_table_has_tabs_and_lines(make_body: Callable[[], MarkdownView]) -> None:
    body = make_body()
    body.load("| a | b |\n|---|---|\n| 1 | two words |\n| **3** | `4` |")
    view = table_view(body)
    view.selectAll()
    text = view.createMimeDataFromSelection().text()
    assert text == "a\tb\n1\ttwo words\n3\t4"


def test_copied_lists_keep_their_markers(make_body: Callable[[], MarkdownView]) -> None:
    body = make_body()
    body.load("3. three\n4. four\n   - inner\n\n- [x] done\n- [ ] open")
    view = body.findChild(ProseView)
    view.selectAll()
    text = view.createMimeDataFromSelection().text()
    assert text == "3. three\n4. four\n  - inner\n- [x] done\n- [ ] open"
