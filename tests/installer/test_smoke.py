"""How the smoke test sees from outside what a window has done."""

from pathlib import Path

import pytest
from chat_on_disk import Chat, stored

from r1desk.store import Store

pytestmark = pytest.mark.slow


def test_a_chat_is_read_while_the_window_has_its_database_open(tmp_path: Path) -> None:
    assert stored(tmp_path) == Chat()
    with Store(tmp_path / "conversations.db") as store:
        conversation = store.conversations.create(model_path="/a/model.gguf").id
        question = store.messages.append_user(conversation, "Is it there?", None)
        answer = store.messages.begin_answer(conversation, question.id)
        assert stored(tmp_path) == Chat("Is it there?", "", "streaming", "/a/model.gguf")
        store.messages.save_progress(answer.id, "Yes, it", "")
        assert stored(tmp_path).answer == "Yes, it"
        assert not stored(tmp_path).ended
