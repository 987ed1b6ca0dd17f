"""The schema, as an append-only list of named steps. Never edit a step that was released.

`user_version` of the database is the number of steps done. Each step is also written into the
table `migrations`, so that a damaged header is not mistaken for a newer version of ourselves.
"""

from collections.abc import Callable, Sequence

import apsw

Migration = Callable[[apsw.Connection], None]


def m001_conversations_and_search(db: apsw.Connection) -> None:
    """Conversations, the tree of their messages, remembered values, and the search index.

    A message's parent always has a smaller id, so the tree cannot contain a circle.
    `shown_child_id` is the child on the branch that was last shown through a message.
    Answers enter the search index when they are finished, not while they are written: the triggers
    look at `state`.
    """
    db.execute("""
        CREATE TABLE conversations (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            title TEXT NOT NULL DEFAULT '',
            title_set_by_user INTEGER NOT NULL DEFAULT 0 CHECK (title_set_by_user IN (0, 1)),
            created_at REAL NOT NULL,
            updated_at REAL NOT NULL,
            trashed_at REAL,
            head_message_id INTEGER,
            preview TEXT NOT NULL DEFAULT '',
            draft TEXT NOT NULL DEFAULT '',
            model_path TEXT NOT NULL DEFAULT '',
            system_prompt TEXT NOT NULL DEFAULT '',
            sampling_json TEXT
        ) STRICT;
        CREATE INDEX conversations_by_time ON conversations (updated_at, id);

        CREATE TABLE messages (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            conversation_id INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
            parent_id INTEGER CHECK (parent_id < id),
            shown_child_id INTEGER CHECK (shown_child_id > id),
            role TEXT NOT NULL CHECK (role IN ('system', 'user', 'assistant')),
            state TEXT NOT NULL CHECK (state IN ('complete', 'streaming', 'stopped', 'failed')),
            created_at REAL NOT NULL,
            thinking_s REAL NOT NULL DEFAULT 0.0,
            model_name TEXT NOT NULL DEFAULT '',
            stats_json TEXT,
            error_json TEXT,
            content TEXT NOT NULL DEFAULT '',
            thinking TEXT NOT NULL DEFAULT '',
            UNIQUE (conversation_id, id),
            FOREIGN KEY (conversation_id, parent_id) REFERENCES messages (conversation_id, id)
                ON DELETE CASCADE
        ) STRICT;
        CREATE INDEX messages_by_parent ON messages (conversation_id, parent_id, id);
        CREATE INDEX messages_streaming ON messages (id) WHERE state = 'streaming';

        CREATE TABLE remembered (key TEXT PRIMARY KEY, value_json TEXT NOT NULL) STRICT;
    """)
    create_search_index(db)


def m002_attachments_and_edited_answers(db: apsw.Connection) -> None:
    """Files that go with a message, and answers that the user changed.

    An attachment without a message belongs to the draft of its conversation, or to that of the new
    chat where it has none either.
    """
    db.execute("""
        CREATE TABLE attachments (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            conversation_id INTEGER REFERENCES conversations (id) ON DELETE CASCADE,
            message_id INTEGER REFERENCES messages (id) ON DELETE CASCADE,
            tokens INTEGER NOT NULL DEFAULT 0 CHECK (tokens >= 0),
            name TEXT NOT NULL,
            content TEXT NOT NULL
        ) STRICT;
        CREATE INDEX attachments_by_message ON attachments (message_id);
        CREATE INDEX attachments_by_conversation ON attachments (conversation_id);

        ALTER TABLE messages
            ADD COLUMN edited INTEGER NOT NULL DEFAULT 0 CHECK (edited IN (0, 1));
    """)


def m003_memory_start(db: apsw.Connection) -> None:
    """A mark on a message: the model reads a branch from its last marked message on."""
    db.execute("""
        ALTER TABLE messages ADD COLUMN memory_start INTEGER NOT NULL DEFAULT 0
            CHECK (memory_start IN (0, 1));
    """)


def m004_folders_unread_and_prompts(db: apsw.Connection) -> None:
    """Folders of conversations, answers that were not looked at yet, and a library of prompts.

    A folder has what its new conversations begin with. `content` of a prompt may have fields.
    """
    db.execute("""
        CREATE TABLE folders (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL,
            model_path TEXT NOT NULL DEFAULT '',
            system_prompt TEXT NOT NULL DEFAULT '',
            sampling_json TEXT
        ) STRICT;
        ALTER TABLE conversations
            ADD COLUMN folder_id INTEGER REFERENCES folders (id) ON DELETE SET NULL;
        CREATE INDEX conversations_by_folder ON conversations (folder_id);
        ALTER TABLE conversations
            ADD COLUMN unread INTEGER NOT NULL DEFAULT 0 CHECK (unread IN (0, 1));

        CREATE TABLE prompts (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL,
            content TEXT NOT NULL
        ) STRICT;
    """)


def m005_documents(db: apsw.Connection) -> None:
    """Documents, whose texts are in an index of their own, and the passages an answer was given.

    A document is an attachment with a `sha256`; one with a `folder_id` belongs to all chats of it.
    """
    db.execute("""
        ALTER TABLE messages ADD COLUMN sources_json TEXT;
        ALTER TABLE attachments ADD COLUMN sha256 TEXT NOT NULL DEFAULT '';
        ALTER TABLE attachments ADD COLUMN pages INTEGER NOT NULL DEFAULT 0 CHECK (pages >= 0);
        ALTER TABLE attachments ADD COLUMN folder_id INTEGER REFERENCES folders (id)
            ON DELETE CASCADE;
        CREATE INDEX attachments_by_folder ON attachments (folder_id);
    """)


def m006_searched_documents(db: apsw.Connection) -> None:
    """Documents that the user has searched where they could be read whole."""
    db.execute("""
        ALTER TABLE attachments
            ADD COLUMN searched INTEGER NOT NULL DEFAULT 0 CHECK (searched IN (0, 1));
    """)


MIGRATIONS: Sequence[Migration] = (
    m001_conversations_and_search,
    m002_attachments_and_edited_answers,
    m003_memory_start,
    m004_folders_unread_and_prompts,
    m005_documents,
    m006_searched_documents,
)

_INDEXED = (("title_index", "conversations", "title"), ("message_index", "messages", "content"))


def create_search_index(db: apsw.Connection) -> None:
    """The two full-text tables, of trigrams because Chinese has no spaces, kept by triggers.

    Deleted text must leave the file for good, hence secure-delete.
    """
    for index, table, column in _INDEXED:
        streams = table == "messages"
        done_old, done_new = (
            f"{row}.state <> 'streaming'" if streams else "TRUE" for row in ("old", "new")
        )
        forget = (
            f"INSERT INTO {index} ({index}, rowid, {column}) SELECT 'delete', old.id, old.{column}"
        )
        learn = f"INSERT INTO {index} (rowid, {column}) SELECT new.id, new.{column}"
        db.execute(f"""
            CREATE VIRTUAL TABLE {index} USING fts5 (
                {column}, content='{table}', content_rowid='id', tokenize='trigram');
            INSERT INTO {index} ({index}, rank) VALUES ('secure-delete', 1);
            CREATE TRIGGER {index}_added AFTER INSERT ON {table} WHEN {done_new}
                BEGIN {learn}; END;
            CREATE TRIGGER {index}_removed AFTER DELETE ON {table} WHEN {done_old}
                BEGIN {forget}; END;
            CREATE TRIGGER {index}_changed
                AFTER UPDATE OF {column + ", state" if streams else column} ON {table}
                WHEN {done_old} OR {done_new}
                BEGIN {forget} WHERE {done_old}; {learn} WHERE {done_new}; END;
        """)  # noqa: S608 - every name is written above
