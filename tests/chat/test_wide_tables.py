"""Tables that are wider than the column keep their words and scroll; they are copied with tabs."""

import pytest

from r1desk.chat.text.prose_view import ProseView

WIDE = (
    "| " + " | ".join(f"column_number_{n}" for n in range(12)) + " |\n" + "|---" * 12 + "|\n"
    "| " + " | ".join(f"value_{n}" for n in range(12)) + " |\n"
)  # fmt: skip
NARROW = "| a | b |\n|---|---|\n| 1 | 2 |"


def test_only_a_wide_table_scrolls_and_it_begins_at_its_left(make_body) -> None:
    for source, is_wide in ((f"before\n\n{WIDE}\nafter", True), (NARROW, False)):
        body = make_body()
        body.load(source)
        body.fit_width(400)
        view = next(view for view in body.findChildren(ProseView) if view.scrolls)
        assert (view.document().size().width() > 400) == is_wide
        assert (view.horizontalScrollBar().maximum() > 0) == is_wide
        assert view.horizontalScrollBar().value() == 0
        assert view.width() == 400


@pytest.mark.parametrize(
    ("source", "copied"),
    [
        ("| a | b |\n|---|---|\n| 1 | two words |\n| **3** | `4` |", "a\tb\n1\ttwo words\n3\t4"),
        (
            "3. three\n4. four\n   - inner\n\n- [x] done\n- [ ] open",
            "3. three\n4. four\n  - inner\n- [x] done\n- [ ] open",
        ),
    ],
)
def test_copied_tables_have_tabs_and_copied_lists_their_markers(make_body, source, copied):
    body = make_body()
    body.load(source)
    view = body.findChild(ProseView)
    view.selectAll()
    assert view.createMimeDataFromSelection().text() == copied
