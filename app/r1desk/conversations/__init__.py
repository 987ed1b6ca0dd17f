"""The list of conversations, search and the trash."""
