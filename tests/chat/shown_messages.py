"""Messages as the view is given them."""

from __future__ import annotations

from r1desk.chat import ShownMessage


def user(number: int, content: str, **more: object) -> ShownMessage:
    return ShownMessage(number, "user", content, **more)


def answer(number: int, content: str, **more: object) -> ShownMessage:
    return ShownMessage(number, "assistant", content, **more)
