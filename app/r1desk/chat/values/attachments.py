"""Attached files as the model reads them, and what they take of its context."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from r1desk.store import Attachment, ChatMessage

_CHARACTERS_A_TOKEN = 3.5  # of Latin text and code
_TOKENS_A_WIDE_CHARACTER = 0.7  # of Chinese


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
    return sum(estimated_tokens(message.content) for message in branch)
