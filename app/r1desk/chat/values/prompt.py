"""The next prompt: the messages that the model is given of a conversation, and their tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import SamplingSettings
from r1desk.store import Attachment, ChatMessage

NEARLY_FULL_SHARE = 0.8
RESERVED_SHARE = 4  # one part in so many of the context is kept for the answer
_CHARACTERS_A_TOKEN = 3.5  # of Latin text and code
_TOKENS_A_WIDE_CHARACTER = 0.7  # of Chinese


@dataclass(frozen=True, slots=True)
class PromptSize:
    """Tokens of the next message's `text`, of the `history` before it, and of the `reserve`.

    `exact` and `history_exact`: False while the text, or the history, is only estimated.
    """

    text: int
    history: int
    reserve: int
    context: int
    exact: bool = True
    history_exact: bool = True

    @property
    def used(self) -> int:
        """Text and history."""
        return self.text + self.history

    @property
    def total(self) -> int:
        """All three."""
        return self.used + self.reserve

    @property
    def fits(self) -> bool:
        """Whether all three fit into the context."""
        return self.total <= self.context

    @property
    def nearly_full(self) -> bool:
        """Whether they fit, and take more than `NEARLY_FULL_SHARE` of the context."""
        return self.fits and self.total > NEARLY_FULL_SHARE * self.context


def answer_reserve(context_length: int, sampling: SamplingSettings) -> int:
    """The tokens of the context that are kept free for the next answer.

    A quarter of the context, and no more than the longest answer.
    """
    return max(1, min(sampling.max_tokens, context_length // RESERVED_SHARE))


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


def with_attachments(text: str, attachments: Iterable[Attachment]) -> str:
    """A message as the model reads it: the files, then the text.

    The form is the one DeepSeek gives for files in the README of DeepSeek-R1, section
    "Official Prompts": the model was tried with it.
    """
    return "".join(f"{fenced(attachment)}\n" for attachment in attachments) + text


def fenced(attachment: Attachment) -> str:
    """One file between marks, with its name."""
    return (
        f"[file name]: {attachment.name}\n[file content begin]\n"
        f"{attachment.content.removesuffix(chr(10))}\n[file content end]"
    )


def estimated_tokens(text: str) -> int:
    """Roughly how many tokens `text` has, while no model is there to count them."""
    wide = (len(text.encode("utf-8", "replace")) - len(text)) // 2  # three bytes each
    return round((len(text) - wide) / _CHARACTERS_A_TOKEN + wide * _TOKENS_A_WIDE_CHARACTER) + 1


def tokens_of(attachment: Attachment) -> int:
    """The tokens of a file: counted, else estimated."""
    return attachment.tokens or estimated_tokens(attachment.content)


def conversation_tokens(branch: Sequence[ChatMessage]) -> int:
    """The tokens of a branch in the next prompt; thinking is not read again."""
    for message in reversed(branch):
        if stats := message.stats:
            return stats.prompt_tokens + stats.completion_tokens - stats.thinking_tokens
    files = (attachment for message in branch for attachment in message.attachments)
    return sum(estimated_tokens(m.content) for m in branch) + sum(map(tokens_of, files))
