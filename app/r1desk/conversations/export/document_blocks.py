"""The parts of a conversation in the order in which a document has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from deepseek_r1.core.i18n import tr
from r1desk.chat.messages.stats_line import duration_text
from r1desk.chat.text.block_splitter import BlockSplitter, MarkdownBlock
from r1desk.store import Attachment, ChatMessage

_STEP = 2_000  # characters of Markdown that are parsed at once


def author_of(message: ChatMessage) -> str:
    """The heading over a message: its author, with the model's name."""
    if not message.is_answer:
        return tr("You")
    name = message.model_name or tr("Answer")
    return tr("{name} (edited)", name=name) if message.edited else name


def thinking_label(message: ChatMessage) -> str:
    """The heading over the thinking, with the time it took."""
    if not message.thinking_s:
        return tr("Thinking")
    return tr("Thought for {duration}", duration=duration_text(message.thinking_s))


def attachment_label(attachment: Attachment) -> str:
    """The heading over the text of an attached file."""
    return tr("Attached file: {label}", label=attachment.name)


def markdown_blocks(source: str, pause: Callable[[], None]) -> Iterator[MarkdownBlock]:
    """The blocks of a text; `pause` is called in between."""
    splitter = BlockSplitter()
    for start in range(0, len(source), _STEP):
        yield from splitter.feed(source[start : start + _STEP])
        pause()
    yield from splitter.finish()
