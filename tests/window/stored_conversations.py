"""A profile with conversations in it, made without a window."""

from pathlib import Path

from r1desk.store import Profile, Store


def store_conversation(
    folder: Path, *texts: str, thinking: str = "", thinking_s: float = 0.0
) -> int:
    """Store a conversation of questions and answers in turn, to be shown at the start; its id.

    `thinking` stands before each answer.
    """
    with Profile.open(folder) as profile, Store(profile.database) as store:
        conversation = store.conversations.create().id
        parent = None
        for number, text in enumerate(texts):
            if number % 2 == 0:
                parent = store.messages.append_user(conversation, text, parent).id
            else:
                parent = store.messages.begin_answer(conversation, parent, "Model").id
                store.messages.finish_answer(parent, text, thinking, thinking_s)
        store.key_value.set("last_conversation", conversation)  # it is shown at the start
    return conversation
