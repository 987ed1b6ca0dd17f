"""The left side: conversations, search, trash."""
