"""Bare addresses become links; a link shows where it leads, and cannot hide it."""

import pytest
from PySide6.QtWidgets import QWidget

from r1desk.chat.text.markdown_blocks import groups_of, inlined, web_address
from r1desk.widgets.bounded_dialog import ask_to_open

HIDDEN = f"https://docs.python.org%2F3%2Flibrary%2F{'a' * 300}@evil.example/x"


def links(text: str) -> list[str]:
    return [
        str(child.attrGet("href"))
        for group in groups_of(text)
        for token in inlined(group)
        for child in token.children or ()
        if child.type == "link_open"
    ]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("see https://example.com/a_b for more", "https://example.com/a_b"),
        ("see https://example.com.", "https://example.com"),
        ("(https://example.com/a)", "https://example.com/a"),
        ("https://example.com/a(b)", "https://example.com/a(b)"),
        ("**http://example.com**", "http://example.com"),
        ("见https://example.cn/x。然后", "https://example.cn/x"),
        ("“https://example.com”", "https://example.com"),
    ],
)
def test_an_address_ends_where_the_sentence_goes_on(text: str, address: str) -> None:
    assert links(text) == [address]


@pytest.mark.parametrize(
    "text",
    ["`https://example.com`", "https://", "xhttps://example.com", "ftp://example.com", "a://b"],
)
def test_what_is_no_web_address_stays_text(text: str) -> None:
    assert links(text) == []


def test_a_link_with_a_text_is_linked_once() -> None:
    assert links("[https://a.example](https://b.example)") == ["https://b.example"]


@pytest.mark.parametrize("address", [HIDDEN, "https://docs.example@evil.example/"])
def test_an_address_with_user_info_is_no_link(qtbot, address: str) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    assert web_address(address) is None
    assert ask_to_open(address, parent, "Open?") is None


def test_the_host_is_shown_however_long_the_address_is(qtbot) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    box = ask_to_open(f"https://evil.example/{'docs.python.org/' * 40}", parent, "Open?")
    assert box is not None
    assert box.informativeText().splitlines()[0] == "Leads to: evil.example"
    box.reject()
