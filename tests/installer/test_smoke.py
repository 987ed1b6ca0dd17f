"""How the smoke test sees from outside what a window has done."""

from pathlib import Path

from chat_on_disk import Chat, stored

from r1desk.store import Store


def test_a_chat_is_read_while_the_window_has_its_database_open(tmp_path: Path) -> None:
    assert stored(tmp_path) == Chat()
    with Store(tmp_path / "conversations.db") as store:
        conversation = store.create_conversation().id
        question = store.append_user(conversation, "Is it there?", None)
        answer = store.begin_answer(conversation, question.id)
        assert stored(tmp_path) == Chat("Is it there?", "", "streaming")
        store.save_progress(answer.id, "Yes, it", "")
        assert stored(tmp_path) == Chat("Is it there?", "Yes, it", "streaming")
        assert not stored(tmp_path).ended
