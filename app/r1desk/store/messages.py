"""Messages as a tree: versions of a question or an answer are siblings under one parent."""

from __future__ import annotations

import time
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from deepseek_r1.core import log
from deepseek_r1.core.errors import ErrorReport
from deepseek_r1.core.events import GenerationStats
from deepseek_r1.core.messages import Role
from r1desk.store.conversations import Conversations, text_of
from r1desk.store.database import Row
from r1desk.store.remembered import whole
from r1desk.store.text import clean, one_line, title_from
from r1desk.store.values import MessageNode, MessageState

Model = TypeVar("Model", bound=BaseModel)

_NODE = """m.id, m.conversation_id, m.parent_id, m.role, CAST(m.content AS BLOB), m.created_at,
    CAST(m.thinking AS BLOB), m.thinking_s, m.state, CAST(m.stats_json AS BLOB),
    CAST(m.error_json AS BLOB), CAST(m.model_name AS BLOB)"""

_UP = """WITH RECURSIVE up (id, parent_id, height) AS (
        SELECT id, parent_id, 0 FROM messages WHERE id = ?
        UNION ALL SELECT m.id, m.parent_id, height + 1
        FROM messages AS m JOIN up ON m.id = up.parent_id)"""


class Messages(Conversations):
    """The part of the store that knows what was said."""

    writable: bool

    def message(self, message_id: int) -> MessageNode:
        """One message. Raises LookupError for an unknown id."""
        row = self._db.first(f"SELECT {_NODE} FROM messages AS m WHERE id = ?", (message_id,))  # noqa: S608
        if row is None:
            raise LookupError(f"no message {message_id}")
        return self._node(row)

    def path(self, conversation_id: int) -> list[MessageNode]:
        """The branch that is shown, first message first."""
        head = self._head(conversation_id)
        rows = self._db.execute(
            f"{_UP} SELECT {_NODE} FROM up JOIN messages AS m ON m.id = up.id "  # noqa: S608
            "ORDER BY height DESC",
            (head,),
        )
        return [self._node(row) for row in rows]

    def siblings(self, message_id: int) -> list[int]:
        """The ids of all versions of a message, itself included, the oldest first."""
        rows = self._db.execute(
            "SELECT sibling.id FROM messages AS m JOIN messages AS sibling "
            "ON sibling.conversation_id = m.conversation_id "
            "AND sibling.parent_id IS m.parent_id WHERE m.id = ? ORDER BY sibling.id",
            (message_id,),
        )
        return [key for (key,) in rows]

    def versions(self, conversation_id: int) -> dict[int, list[int]]:
        """For each message of a conversation what `siblings` says, in one reading."""
        rows = self._db.execute(
            "SELECT id, parent_id FROM messages WHERE conversation_id = ? ORDER BY id",
            (conversation_id,),
        )
        below: dict[int | None, list[int]] = {}
        for key, parent_id in rows:
            below.setdefault(parent_id, []).append(key)
        return {key: below[parent_id] for key, parent_id in rows}

    @whole
    def select_branch(self, message_id: int) -> list[MessageNode]:
        """Show the branch through a message, with what was last shown below it; return it."""
        chosen = self.message(message_id)
        (leaf,) = self._db.execute(
            "WITH RECURSIVE down (id) AS (SELECT ? UNION ALL SELECT child.id "
            "FROM down JOIN messages AS m ON m.id = down.id "
            "JOIN messages AS child ON child.id = m.shown_child_id AND child.parent_id = m.id) "
            "SELECT max(id) FROM down",  # a child's id is greater than its parent's
            (message_id,),
        )[0]
        self._show(chosen.conversation_id, leaf)
        return self.path(chosen.conversation_id)

    @whole
    def append_user(self, conversation_id: int, text: str, parent_id: int | None) -> MessageNode:
        """Add what the user says below `parent_id` (None: at the beginning) and show it.

        An edited message is one more child of the same parent.
        """
        content = clean(text)
        key = self._add(conversation_id, parent_id, Role.USER, MessageState.COMPLETE, content)
        if parent_id is None:
            self._db.execute(
                "UPDATE conversations SET title = ? WHERE id = ? AND NOT title_set_by_user",
                (title_from(content), conversation_id),
            )
        return self.message(key)

    @whole
    def begin_answer(
        self, conversation_id: int, parent_id: int, model_name: str = ""
    ) -> MessageNode:
        """Add an empty answer that is being written, and show it.

        Another answer to the same message is one more child of it.
        """
        key = self._add(conversation_id, parent_id, Role.ASSISTANT, MessageState.STREAMING, "")
        self._db.execute(
            "UPDATE messages SET model_name = ? WHERE id = ?", (clean(model_name), key)
        )
        return self.message(key)

    def save_progress(self, message_id: int, content: str, thinking: str = "") -> bool:
        """Save what there is of an answer. False if it is not being written any more."""
        changed = self._db.execute(
            "UPDATE messages SET content = ?, thinking = ? "
            "WHERE id = ? AND state = 'streaming' RETURNING id",
            (clean(content), clean(thinking), message_id),
        )
        return bool(changed)

    @whole
    def finish_answer(  # noqa: PLR0917 - in the order of the row
        self,
        message_id: int,
        content: str,
        thinking: str = "",
        thinking_s: float = 0.0,
        stats: GenerationStats | None = None,
        state: MessageState = MessageState.COMPLETE,
        error: ErrorReport | None = None,
    ) -> MessageNode:
        """Save an answer for good; from now on it can be found by searching."""
        changed = self._db.execute(
            "UPDATE messages SET content = ?, thinking = ?, thinking_s = ?, stats_json = ?, "
            "state = ?, error_json = ? WHERE id = ? RETURNING conversation_id",
            (
                clean(content),
                clean(thinking),
                thinking_s,
                _json(stats),
                state.value,
                _json(error),
                message_id,
            ),
        )
        if not changed:
            raise LookupError(f"no message {message_id}")
        self._refresh(changed[0][0])
        return self.message(message_id)

    @whole
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

    def _add(
        self,
        conversation_id: int,
        parent_id: int | None,
        role: Role,
        state: MessageState,
        content: str,
    ) -> int:
        with self.transaction():
            self._head(conversation_id)
            if parent_id is not None and self.message(parent_id).conversation_id != conversation_id:
                raise LookupError(f"message {parent_id} is of another conversation")
            key: int = self._db.execute(
                "INSERT INTO messages "
                "(conversation_id, parent_id, role, state, created_at, content) "
                "VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
                (conversation_id, parent_id, role.value, state.value, time.time(), content),
            )[0][0]
            self._show(conversation_id, key)
            self._refresh(conversation_id)
        return key

    def _show(self, conversation_id: int, leaf_id: int) -> None:
        """Make the branch up from `leaf_id` the one shown, and remember each turn it takes."""
        self._db.execute(
            f"{_UP} UPDATE messages SET shown_child_id = up.id FROM up "  # noqa: S608
            "WHERE messages.id = up.parent_id AND messages.shown_child_id IS NOT up.id",
            (leaf_id,),
        )
        self._db.execute(
            "UPDATE conversations SET head_message_id = ? WHERE id = ?", (leaf_id, conversation_id)
        )
        self._refresh(conversation_id, touch=False)

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

    def _node(self, row: Row) -> MessageNode:
        (
            key,
            conversation_id,
            parent_id,
            role,
            content,
            created_at,
            thinking,
            thinking_s,
            state,
            stats,
            error,
            model_name,
        ) = row
        known_state = MessageState(state)
        if known_state is MessageState.STREAMING and not self.writable:
            known_state = MessageState.STOPPED  # nobody is writing it, and recover() may not
        return MessageNode(
            id=key,
            conversation_id=conversation_id,
            parent_id=parent_id,
            role=Role(role),
            content=text_of(content),
            created_at=created_at,
            thinking=text_of(thinking),
            thinking_s=thinking_s,
            state=known_state,
            stats=_parsed(GenerationStats, stats),
            error=_parsed(ErrorReport, error),
            model_name=text_of(model_name),
        )


def _json(value: BaseModel | None) -> str | None:
    return None if value is None else value.model_dump_json()


def _parsed(kind: type[Model], stored: bytes | None) -> Model | None:
    if stored is None:
        return None
    try:
        return kind.model_validate_json(stored)
    except ValidationError as problem:
        log.store.warning("a stored %s is unreadable: %s", kind.__name__, problem.error_count())
        return None
