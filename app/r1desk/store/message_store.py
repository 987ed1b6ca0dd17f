"""Messages as a tree: versions of a question or an answer are siblings under one parent."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.events import GenerationStats
from deepseek_r1.core.messages import Role
from r1desk.store.attachment_store import AttachmentStore
from r1desk.store.database import Database, Row, transactional
from r1desk.store.records import AnswerSources, Attachment, ChatMessage, MessageState
from r1desk.store.stored_text import clean, json_of, one_line, parsed, text_of, title_from


def _as_it_is(value: Any) -> Any:
    return value


# The fields of a message: their columns, what reads their values and what stores them.
_FIELDS: dict[str, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "conversation_id": ("conversation_id", int, int),
    "parent_id": ("parent_id", _as_it_is, _as_it_is),
    "role": ("role", Role, str),
    "content": ("content", text_of, clean),
    "created_at": ("created_at", float, lambda at: at or time.time()),
    "thinking": ("thinking", text_of, clean),
    "thinking_s": ("thinking_s", float, float),
    "state": ("state", MessageState, str),
    "stats": ("stats_json", partial(parsed, GenerationStats), json_of),
    "error": ("error_json", partial(parsed, ErrorReport), json_of),
    "model_name": ("model_name", text_of, clean),
    "edited": ("edited", bool, int),
    "memory_start": ("memory_start", bool, int),
    "sources": ("sources_json", partial(parsed, AnswerSources), json_of),
}
_COLUMNS = [column for column, _, _ in _FIELDS.values()]
# Texts are read as bytes: a flipped bit must not make a whole branch unreadable.
_TEXTS = {"content", "thinking", "stats_json", "error_json", "model_name", "sources_json"}
_NODE = "m.id, " + ", ".join(
    f"CAST(m.{column} AS BLOB)" if column in _TEXTS else f"m.{column}" for column in _COLUMNS
)
_INSERT = (
    f"INSERT INTO messages ({', '.join(_COLUMNS)}) "  # noqa: S608 - names of ours
    f"VALUES ({', '.join('?' * len(_COLUMNS))}) RETURNING id"
)

_UP = """WITH RECURSIVE up (id, parent_id, height) AS (
        SELECT id, parent_id, 0 FROM messages WHERE id = ?1
        UNION ALL SELECT m.id, m.parent_id, height + 1
        FROM messages AS m JOIN up ON m.id = up.parent_id)"""


class MessageStore:
    """The messages of all conversations."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.attachments = AttachmentStore(db)
        self.writable = True  # False: nobody is writing what is marked as being written

    def get(self, message_id: int) -> ChatMessage:
        """One message. Raises LookupError for an unknown id."""
        row = self._db.first(f"SELECT {_NODE} FROM messages AS m WHERE id = ?", (message_id,))  # noqa: S608
        if row is None:
            raise LookupError(f"no message {message_id}")
        return self._nodes([row])[0]

    def path(self, conversation_id: int) -> list[ChatMessage]:
        """The branch that is shown, first message first, each with its place among its versions."""
        versions = self._versions(conversation_id)
        return [
            replace(
                message,
                sibling_index=versions[message.id].index(message.id),
                sibling_count=len(versions[message.id]),
            )
            for message in self.path_to(self._head(conversation_id))
        ]

    def path_to(self, message_id: int | None) -> list[ChatMessage]:
        """A message and all above it, first message first; nothing for None."""
        rows = self._db.execute(
            f"{_UP} SELECT {_NODE} FROM up JOIN messages AS m ON m.id = up.id "  # noqa: S608
            "ORDER BY height DESC",
            (message_id,),
        )
        return self._nodes(rows)

    def siblings(self, message_id: int) -> list[int]:
        """The ids of all versions of a message, itself included, the oldest first."""
        return self._versions(self.get(message_id).conversation_id)[message_id]

    def _versions(self, conversation_id: int) -> dict[int, list[int]]:
        rows = self._db.execute(
            "SELECT id, parent_id FROM messages WHERE conversation_id = ? ORDER BY id",
            (conversation_id,),
        )
        below: dict[int | None, list[int]] = {}
        for key, parent_id in rows:
            below.setdefault(parent_id, []).append(key)
        return {key: below[parent_id] for key, parent_id in rows}

    @transactional
    def select_branch(self, message_id: int) -> list[ChatMessage]:
        """Show the branch through a message, with what was last shown below it; return it."""
        chosen = self.get(message_id)
        (leaf,) = self._db.execute(
            "WITH RECURSIVE down (id) AS (SELECT ? UNION ALL SELECT child.id "
            "FROM down JOIN messages AS m ON m.id = down.id "
            "JOIN messages AS child ON child.id = m.shown_child_id AND child.parent_id = m.id) "
            "SELECT max(id) FROM down",  # a child's id is greater than its parent's
            (message_id,),
        )[0]
        self.end_branch(chosen.conversation_id, leaf)
        return self.path(chosen.conversation_id)

    @transactional
    def end_branch(self, conversation_id: int, message_id: int | None) -> None:
        """Show the branch that ends with a message (None: none); remember each turn it takes."""
        self._db.execute(
            f"{_UP} UPDATE messages SET shown_child_id = up.id FROM up "  # noqa: S608
            "WHERE messages.id = up.parent_id AND messages.shown_child_id IS NOT up.id",
            (message_id,),
        )
        self._db.execute(
            "UPDATE conversations SET head_message_id = ? WHERE id = ?",
            (message_id, conversation_id),
        )
        self._refresh(conversation_id, touch=False)

    @transactional
    def append_user(
        self,
        conversation_id: int,
        text: str,
        parent_id: int | None,
        attachments: Sequence[Attachment] = (),
    ) -> ChatMessage:
        """Add the user's message below `parent_id` (None: at the beginning) and show it.

        An edited message is one more child of the same parent.
        """
        content = clean(text)
        key = self._add(
            conversation_id, parent_id, Role.USER, content=content, attachments=tuple(attachments)
        )
        if parent_id is None:
            titled = content if content.strip() or not attachments else attachments[0].name
            self._db.execute(
                "UPDATE conversations SET title = ? WHERE id = ? AND NOT title_set_by_user",
                (title_from(titled), conversation_id),
            )
        return self.get(key)

    @transactional
    def begin_answer(
        self,
        conversation_id: int,
        parent_id: int,
        model_name: str = "",
        sources: AnswerSources | None = None,
    ) -> ChatMessage:
        """Add an empty answer that is being written, and show it.

        Another answer to the same message is one more child of it. `sources` are what it is given.
        """
        key = self._add(
            conversation_id,
            parent_id,
            Role.ASSISTANT,
            content="",
            state=MessageState.STREAMING,
            model_name=model_name,
            sources=sources,
        )
        return self.get(key)

    @transactional
    def reopen_answer(self, message_id: int) -> None:
        """Let an answer that has ended go on. Raises LookupError for an unknown id."""
        changed = self._db.execute(
            "UPDATE messages SET state = 'streaming', error_json = NULL WHERE id = ? RETURNING id",
            (message_id,),
        )
        if not changed:
            raise LookupError(f"no message {message_id}")

    @transactional
    def begin_again(self, message_id: int, model_name: str) -> ChatMessage:
        """Let an answer that ended without any text be written anew; its id stays, for an undo."""
        self.reopen_answer(message_id)
        self._db.execute(
            "UPDATE messages SET stats_json = NULL, model_name = ? WHERE id = ?",
            (clean(model_name), message_id),
        )
        return self.get(message_id)

    def save_progress(
        self,
        message_id: int,
        content: str,
        thinking: str = "",
        stats: GenerationStats | None = None,
    ) -> bool:
        """Save what there is of an answer. False if it is not being written any more."""
        changed = self._db.execute(
            "UPDATE messages SET content = ?, thinking = ?, stats_json = coalesce(?, stats_json) "
            "WHERE id = ? AND state = 'streaming' RETURNING id",
            (clean(content), clean(thinking), json_of(stats), message_id),
        )
        return bool(changed)

    @transactional
    def finish_answer(  # noqa: PLR0917 - in the order of the row
        self,
        message_id: int,
        content: str,
        thinking: str = "",
        thinking_s: float = 0.0,
        stats: GenerationStats | None = None,
        state: MessageState = MessageState.COMPLETE,
        error: ErrorReport | None = None,
        sources: AnswerSources | None = None,
    ) -> ChatMessage:
        """Save an answer for good; from now on it can be found by searching."""
        changed = self._db.execute(
            "UPDATE messages SET content = ?, thinking = ?, thinking_s = ?, stats_json = ?, "
            "state = ?, error_json = ?, sources_json = coalesce(?, sources_json) "
            "WHERE id = ? RETURNING conversation_id",
            (
                clean(content),
                clean(thinking),
                thinking_s,
                json_of(stats),
                state.value,
                json_of(error),
                json_of(sources),
                message_id,
            ),
        )
        if not changed:
            raise LookupError(f"no message {message_id}")
        self._refresh(changed[0][0])
        return self.get(message_id)

    def all_of(self, conversation_id: int, after_id: int = 0, most: int = -1) -> list[ChatMessage]:
        """All messages of a conversation, each after its parent; of a long one `most` at a time."""
        rows = self._db.execute(
            f"SELECT {_NODE} FROM messages AS m WHERE conversation_id = ? AND id > ? "  # noqa: S608
            "ORDER BY id LIMIT ?",
            (conversation_id, after_id, most),
        )
        return self._nodes(rows)

    @transactional
    def insert(self, message: ChatMessage, *, show: bool = True) -> int:
        """Store a message as it is under a new id, which is returned.

        Without `show`, the branch shown stays; what is stored takes the same time at any height.
        """
        values = [write(getattr(message, field)) for field, (_, _, write) in _FIELDS.items()]
        key: int = self._db.execute(_INSERT, values)[0][0]
        if message.attachments:
            self.attachments.add(key, message.attachments)
        if show:
            self.end_branch(message.conversation_id, key)
            self._refresh(message.conversation_id)
        else:
            self._db.execute(
                "UPDATE messages SET shown_child_id = ? WHERE id = ?", (key, message.parent_id)
            )
        return key

    @transactional
    def set_memory_start(self, leaf_id: int, message_id: int | None) -> None:
        """Let the model read the branch up from `leaf_id` from `message_id` on; None: all of it.

        The last mark of a branch counts: those after `message_id` are removed.
        """
        self._db.execute(
            f"{_UP} UPDATE messages SET memory_start = (messages.id IS ?2) FROM up "  # noqa: S608
            "WHERE messages.id = up.id AND messages.id >= coalesce(?2, 0) "
            "AND messages.memory_start IS NOT (messages.id IS ?2)",
            (leaf_id, message_id),
        )

    def has_replies(self, message_id: int) -> bool:
        below = self._db.first("SELECT id FROM messages WHERE parent_id = ?", (message_id,))
        return below is not None

    @transactional
    def recover(self) -> tuple[int, ...]:
        """Turn the answers that a killed window left unfinished into stopped ones."""
        left = self._db.execute(
            "UPDATE messages SET state = 'stopped' WHERE state = 'streaming' "
            "RETURNING id, conversation_id"
        )
        for _, conversation_id in left:
            self._refresh(conversation_id, touch=False)
        return tuple(sorted(key for key, _ in left))

    # ---- the tree ---------------------------------------------------------------------------

    def _head(self, conversation_id: int) -> int | None:
        row = self._db.first(
            "SELECT head_message_id FROM conversations WHERE id = ?", (conversation_id,)
        )
        if row is None:
            raise LookupError(f"no conversation {conversation_id}")
        head: int | None = row[0]
        return head

    def _add(self, conversation_id: int, parent_id: int | None, role: Role, **fields: Any) -> int:
        """Insert a message of now below one of the same conversation, and show it."""
        self._head(conversation_id)
        if parent_id is not None and self.get(parent_id).conversation_id != conversation_id:
            raise LookupError(f"message {parent_id} is of another conversation")
        return self.insert(
            ChatMessage(
                id=0, role=role, conversation_id=conversation_id, parent_id=parent_id, **fields
            )
        )

    def _refresh(self, conversation_id: int, *, touch: bool = True) -> None:
        """Bring the preview, and with `touch` the time, of a conversation up to date."""
        head = self._db.first(
            "SELECT CAST(m.content AS BLOB) FROM conversations AS c "
            "JOIN messages AS m ON m.id = c.head_message_id WHERE c.id = ?",
            (conversation_id,),
        )
        self._db.execute(
            "UPDATE conversations SET preview = coalesce(nullif(?, ''), preview), "
            "updated_at = coalesce(?, updated_at) WHERE id = ?",
            (
                one_line(text_of(head[0])) if head else "",
                time.time() if touch else None,
                conversation_id,
            ),
        )

    def _nodes(self, rows: Iterable[Row]) -> list[ChatMessage]:
        nodes = [self._node(row) for row in rows]
        attached = self.attachments.of_messages(node.id for node in nodes)
        return [
            replace(node, attachments=attached[node.id]) if node.id in attached else node
            for node in nodes
        ]

    def _node(self, row: Row) -> ChatMessage:
        key, *values = row
        fields = {
            field: read(value)
            for (field, (_, read, _)), value in zip(_FIELDS.items(), values, strict=True)
        }
        if fields["state"] is MessageState.STREAMING and not self.writable:
            fields["state"] = MessageState.STOPPED  # nobody is writing it, and recover() may not
        return ChatMessage(id=key, **fields)
