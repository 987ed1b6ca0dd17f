"""Searching: words of three characters and more through the trigram index, shorter ones by LIKE.

A query is data: its words are looked for as they are, all of them in one message or one title.
Words are separated by white space; quotes and operators mean nothing.
"""

import re

from r1desk.store.database import Database
from r1desk.store.records import SearchHit
from r1desk.store.stored_text import clean, text_of

TRIGRAM = 3
QUERY_CHARACTERS = 200
SNIPPET_CHARACTERS = 120
_LEAD_CHARACTERS = 30
_SIGNS = re.compile(r"\*\*|`+|(?m:^#{1,6} )")  # of Markdown, which a snippet has no use for


class Query:
    """The different words of a text's first `QUERY_CHARACTERS`, as SQLite is asked for them."""

    def __init__(self, text: str) -> None:
        self.terms = list(dict.fromkeys(clean(text[:QUERY_CHARACTERS]).split()))

    @property
    def match(self) -> str:
        """The full-text expression for the longer words; empty if there are none."""
        long = (word for word in self.terms if len(word) >= TRIGRAM)
        return " AND ".join('"' + word.replace('"', '""') + '"' for word in long)

    def condition(self, column: str) -> tuple[str, list[str]]:
        """SQL and bindings for the words that are too short for the index."""
        parts, bindings = ["TRUE"], []
        for word in self.terms:
            if len(word) >= TRIGRAM:
                continue
            if word.lower() == word.upper():  # no case, as in Chinese: the fastest comparison
                parts.append(f"instr({column}, ?) > 0")
                bindings.append(word)
            else:
                parts.append(f"{column} LIKE ? ESCAPE '\\'")
                bindings.append("%" + re.sub(r"([\\%_])", r"\\\1", word) + "%")
        return " AND ".join(parts), bindings

    @property
    def pattern(self) -> re.Pattern[str]:
        terms = sorted(self.terms, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, terms)), re.IGNORECASE)


def search(db: Database, text: str, limit: int) -> list[SearchHit]:
    """The best `limit` conversations outside the trash: titles first, then texts by rank.

    Ranks that differ by a fraction, and short words, which have none, are equal: the latest first.
    """
    query = Query(text)
    if not query.terms or limit <= 0:
        return []
    titles = _titles(db, query, limit)
    messages = _messages(db, query, limit)
    best = dict.fromkeys([*titles, *messages])
    return [_hit(db, query, key, messages.get(key)) for key in list(best)[:limit]]


def _titles(db: Database, query: Query, limit: int) -> list[int]:
    short, bindings = query.condition("c.title")
    if query.match:
        source, order = (
            "title_index JOIN conversations AS c ON c.id = title_index.rowid",
            "round(rank)",
        )
        short += " AND title_index MATCH ?"
        bindings.append(query.match)
    else:
        source, order = "conversations AS c", "TRUE"
    rows = db.execute(
        f"SELECT c.id FROM {source} WHERE {short} AND c.trashed_at IS NULL "  # noqa: S608
        f"ORDER BY {order}, c.updated_at DESC LIMIT ?",
        [*bindings, limit],
    )
    return [key for (key,) in rows]


def _messages(db: Database, query: Query, limit: int) -> dict[int, int]:
    """Conversation -> its best message, best first."""
    short, bindings = query.condition("m.content")
    if query.match:
        rows = db.execute(
            "SELECT m.conversation_id, m.id, min(rank) AS best "  # noqa: S608
            "FROM message_index JOIN messages AS m ON m.id = message_index.rowid "
            "JOIN conversations AS c ON c.id = m.conversation_id "
            f"WHERE message_index MATCH ? AND c.trashed_at IS NULL AND {short} "
            "GROUP BY m.conversation_id ORDER BY round(best), c.updated_at DESC LIMIT ?",
            [query.match, *bindings, limit],
        )
        return {conversation: message for conversation, message, _ in rows}
    found: dict[int, int] = {}
    for conversation, message in db.rows(
        "SELECT m.conversation_id, m.id FROM messages AS m "  # noqa: S608
        "JOIN conversations AS c ON c.id = m.conversation_id "
        f"WHERE c.trashed_at IS NULL AND m.state <> 'streaming' AND {short} ORDER BY m.id DESC",
        bindings,
    ):
        found.setdefault(conversation, message)
        if len(found) == limit:
            break
    return found


def _hit(db: Database, query: Query, conversation_id: int, message_id: int | None) -> SearchHit:
    row = db.first(
        "SELECT CAST(c.title AS BLOB), c.updated_at, "
        "CAST(coalesce(m.content, c.preview) AS BLOB) "
        "FROM conversations AS c LEFT JOIN messages AS m ON m.id = ? WHERE c.id = ?",
        (message_id, conversation_id),
    )
    title, updated_at, content = row or (b"", 0.0, b"")
    snippet, marks = snippet_of(text_of(content), query.pattern)
    return SearchHit(
        conversation_id=conversation_id,
        title=text_of(title),
        updated_at=updated_at,
        message_id=message_id,
        snippet=snippet,
        marks=marks,
    )


def snippet_of(text: str, pattern: re.Pattern[str]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """A line of `text` around its first match, and the (start, length) of all matches in it."""
    first = pattern.search(text)
    start = max(0, first.start() - _LEAD_CHARACTERS) if first else 0
    if start and (space := text.find(" ", start, first.start() if first else start)) != -1:
        start = space + 1
    piece = text[start : start + SNIPPET_CHARACTERS]
    line = re.sub(r"\s+", " ", _SIGNS.sub("", piece)).strip()
    line = ("…" if start else "") + line
    line += "…" if start + SNIPPET_CHARACTERS < len(text) else ""
    return line, tuple((m.start(), m.end() - m.start()) for m in pattern.finditer(line))
