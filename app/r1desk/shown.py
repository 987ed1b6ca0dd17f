"""Stored messages as the chat view shows them."""

from __future__ import annotations

from r1desk.chat.values import ShownMessage
from r1desk.store import MessageNode, Store


def load_branch(store: Store, conversation_id: int) -> list[ShownMessage]:
    """The branch of a conversation that is shown, first message first."""
    versions = store.versions(conversation_id)
    return [
        shown_message(node, versions.get(node.id, [node.id]))
        for node in store.path(conversation_id)
    ]


def shown_message(node: MessageNode, siblings: list[int]) -> ShownMessage:
    """One message with its place among its versions."""
    return ShownMessage(
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
    )
