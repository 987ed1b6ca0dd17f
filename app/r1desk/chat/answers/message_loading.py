"""Stored messages as the chat view shows them."""

from __future__ import annotations

from dataclasses import dataclass

from r1desk.chat.values.message import ChatMessage
from r1desk.store import Attachment, MessageNode, Store


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
        chat_message(node, versions.get(node.id, [node.id]))
        for node in store.messages.path(conversation_id)
    ]


def load_ancestors(store: Store, message_id: int) -> list[ChatMessage]:
    """The messages above a message, first message first, whatever branch is shown."""
    return [chat_message(node, [node.id]) for node in store.messages.path_to(message_id)[:-1]]


def chat_message(node: MessageNode, siblings: list[int]) -> ChatMessage:
    """One message with its place among its versions."""
    return ChatMessage(
        id=node.id,
        role=node.role,
        content=node.content,
        thinking=node.thinking,
        thinking_s=node.thinking_s,
        state=node.state,
        stats=node.stats,
        error_text=node.error.text() if node.error else "",
        model_name=node.model_name,
        sibling_index=siblings.index(node.id),
        sibling_count=len(siblings),
        attachments=node.attachments,
        edited=node.edited,
        memory_start=node.memory_start,
        error=node.error,
    )
