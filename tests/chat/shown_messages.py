"""Messages as the view is given them."""

from collections.abc import Callable

from PySide6.QtWidgets import QWidget

from host.scripted_engine import TEXT as ANSWER
from r1desk.chat.text.message_selection import text_boxes
from r1desk.chat.text.prose_view import document_text
from r1desk.store import ChatMessage

Show = Callable[[list[ChatMessage]], None]
CHARACTERS_PER_TOKEN = 4


def user(number: int, content: str, **more: object) -> ChatMessage:
    return ChatMessage(number, "user", content, **more)


def answer(number: int, content: str, **more: object) -> ChatMessage:
    return ChatMessage(number, "assistant", content, **more)


def text_of(message: QWidget) -> str:
    """The text that is drawn in a message, or in a part of it."""
    return "\n".join(document_text(box.document()) for box in text_boxes(message))


def conversation(tokens: int) -> list[ChatMessage]:
    """About `tokens` tokens of questions, and of answers that have everything answers have."""
    messages: list[ChatMessage] = []
    characters = 0
    while characters < tokens * CHARACTERS_PER_TOKEN:
        number = len(messages)
        question = f"Question {number}: how does this part work, and what follows from it?"
        text = ANSWER * (1 + number % 5)
        messages.append(user(number + 1, question))
        messages.append(answer(number + 2, text, thinking=ANSWER, thinking_s=3.0))
        characters += len(question) + 2 * len(text)
    return messages
