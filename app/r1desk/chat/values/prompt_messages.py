"""The messages that the model is given of a conversation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deepseek_r1.core.messages import Message, Role
from r1desk.chat.values.attachments import with_attachments
from r1desk.store import ChatMessage


def prompt_messages(branch: Iterable[ChatMessage], system_prompt: str) -> tuple[Message, ...]:
    """Messages with their files, without their thinking, after the system prompt if any.

    Those above the place where memory begins are left out.
    """
    shown = list(branch)
    messages = [
        Message(role=Role(m.role), content=with_attachments(m.content, m.attachments))
        for m in shown[memory_start(shown) :]
        if m.content or m.role == Role.USER
    ]
    if system_prompt.strip():
        messages.insert(0, Message(role=Role.SYSTEM, content=system_prompt))
    return tuple(messages)


def memory_start(branch: Sequence[ChatMessage]) -> int:
    """The index of the first message that the model reads.

    It is the last marked message; for a marked answer its question, because a conversation that
    begins with an answer is refused by many templates.
    """
    marked = max((i for i, message in enumerate(branch) if message.memory_start), default=0)
    return marked - 1 if marked and branch[marked].is_answer else marked
