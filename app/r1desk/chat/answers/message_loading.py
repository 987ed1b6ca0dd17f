"""Stored messages as the chat view shows them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from r1desk.store import Attachment, ChatMessage, Store


@dataclass(frozen=True, slots=True)
class OpenedConversation:
    """A conversation as it is shown: its branch, and what was written and not sent."""

    branch: list[ChatMessage]
    draft: str
    attachments: tuple[Attachment, ...]
    trashed: bool


def load_conversation(store: Store, conversation_id: int, message_id: int) -> OpenedConversation:
    """A conversation with the branch through a message; 0 stands for the branch shown last."""
    branch = load_branch(store, conversation_id)
    if message_id and store.writable and all(m.id != message_id for m in branch):
        store.messages.select_branch(message_id)
        branch = load_branch(store, conversation_id)
    return OpenedConversation(
        branch,
        store.conversations.draft(conversation_id),
        store.attachments.drafts(conversation_id),
        store.conversations.get(conversation_id).trashed_at is not None,
    )


def load_branch(store: Store, conversation_id: int) -> list[ChatMessage]:
    """The branch of a conversation that is shown, first message first."""
    versions = store.messages.versions(conversation_id)
    return [
        replace(
            message,
            sibling_index=versions[message.id].index(message.id),
            sibling_count=len(versions[message.id]),
        )
        for message in store.messages.path(conversation_id)
    ]
