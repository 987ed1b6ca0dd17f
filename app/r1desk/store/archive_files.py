"""Exports conversations into files, as JSON or as Markdown."""

from __future__ import annotations

import re
from pathlib import Path

from deepseek_r1.core.atomic_write import write_atomically
from deepseek_r1.core.messages import Role
from r1desk.store.archive import Archive, archive_of
from r1desk.store.errors import ArchiveNotWritten
from r1desk.store.records import ChatMessage
from r1desk.store.store import Store

_HEADINGS = {Role.USER: "User", Role.ASSISTANT: "Assistant", Role.SYSTEM: "System"}


def export_json(store: Store, file: Path, conversation_ids: list[int] | None = None) -> int:
    """Write conversations, None for all, with their branches; returns how many.

    Raises ArchiveNotWritten.
    """
    if conversation_ids is None:
        conversation_ids = [info.id for info in store.conversations.infos()]
    # One at a time: the interpreter is held while pydantic writes, and the window waits for it.
    empty = Archive(conversations=()).model_dump_json()
    conversations = [
        archive_of(store, [key]).conversations[0].model_dump_json() for key in conversation_ids
    ]
    _write(file, empty.replace("[]", "[\n" + ",\n".join(conversations) + "\n]"))
    return len(conversation_ids)


def export_markdown(store: Store, file: Path, conversation_ids: list[int] | None = None) -> int:
    """Write the shown branches of conversations as Markdown; returns how many.

    Raises ArchiveNotWritten.
    """
    if conversation_ids is None:
        conversation_ids = [info.id for info in store.conversations.infos()]
    _write(file, "\n\n---\n\n".join(markdown_of(store, key) for key in conversation_ids) + "\n")
    return len(conversation_ids)


def markdown_of(store: Store, conversation_id: int) -> str:
    """The shown branch of a conversation: a title, and each message under a heading."""
    title = store.conversations.get(conversation_id).title
    messages = store.messages.path(conversation_id)
    return "\n\n".join([f"# {title}", *(_section(message) for message in messages)])


def _section(message: ChatMessage) -> str:
    heading = _HEADINGS[message.role]
    if message.model_name:
        heading += f" ({message.model_name})"
    parts = [f"## {heading}"]
    if message.thinking.strip():
        quoted = "\n".join(f"> {line}".rstrip() for line in message.thinking.strip().splitlines())
        parts.append(quoted)
    for attachment in message.attachments:
        parts.append(f"**{attachment.name}**\n\n{_fenced(attachment.content)}")
    parts.append(message.content.strip())
    return "\n\n".join(part for part in parts if part)


def _fenced(text: str) -> str:
    """`text` as a code block, with a fence longer than any in it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}\n{text.rstrip()}\n{fence}"


def _write(file: Path, text: str) -> None:
    try:
        write_atomically(file, text.encode("utf-8"))
    except OSError as problem:
        raise ArchiveNotWritten(path=str(file), detail=problem.strerror or "") from problem
