"""Conversations on disk: SQLite in one file, owned by one thread.

`Profile` holds the folder, `StoreThread` owns the `Store`; everything handed out is a frozen value.
"""

from r1desk.store.errors import ProfileInUse, StoreError, StoreFull
from r1desk.store.records import (
    AnswerSources,
    Attachment,
    ChatMessage,
    ConversationInfo,
    ConversationSettings,
    FolderInfo,
    MessageState,
    Opening,
    SearchHit,
)
from r1desk.store.store import Profile, Store, StoreThread, StoreWork

__all__ = [
    "AnswerSources",
    "Attachment",
    "ChatMessage",
    "ConversationInfo",
    "ConversationSettings",
    "FolderInfo",
    "MessageState",
    "Opening",
    "Profile",
    "ProfileInUse",
    "SearchHit",
    "Store",
    "StoreError",
    "StoreFull",
    "StoreThread",
    "StoreWork",
]
