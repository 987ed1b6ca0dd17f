"""A link shows where it leads before it is opened, and cannot hide it."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QWidget

from r1desk.chat.presenters.link_dialog import ask_to_open
from r1desk.chat.text.markdown_blocks import web_address

HIDDEN = f"https://docs.python.org%2F3%2Flibrary%2F{'a' * 300}@evil.example/x"


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
