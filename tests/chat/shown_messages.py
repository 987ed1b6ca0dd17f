"""Messages as the view is given them."""

from __future__ import annotations

from r1desk.store import ChatMessage


def user(number: int, content: str, **more: object) -> ChatMessage:
    return ChatMessage(number, "user", content, **more)


def answer(number: int, content: str, **more: object) -> ChatMessage:
    return ChatMessage(number, "assistant", content, **more)
