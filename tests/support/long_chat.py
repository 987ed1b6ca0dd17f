"""A conversation as long as one wants, whose answers have everything that answers have."""

from __future__ import annotations

from host.scripted_engine import TEXT
from r1desk.store import ChatMessage

CHARACTERS_PER_TOKEN = 4
ANSWER = TEXT


def conversation(tokens: int) -> list[ChatMessage]:
    """Questions and answers of about `tokens` tokens in total."""
    messages: list[ChatMessage] = []
    characters = 0
    while characters < tokens * CHARACTERS_PER_TOKEN:
        number = len(messages)
        question = f"Question {number}: how does this part work, and what follows from it?"
        answer = ANSWER * (1 + number % 5)
        messages.append(ChatMessage(number + 1, "user", question))
        messages.append(
            ChatMessage(number + 2, "assistant", answer, thinking=ANSWER, thinking_s=3.0)
        )
        characters += len(question) + 2 * len(answer)
    return messages
