"""Small values by name."""

from __future__ import annotations

import pytest

from r1desk.store import Store


@pytest.mark.parametrize("value", [1, 1.5, "x", True, [1, "a"], {"b": None}])
def test_a_value_comes_back_as_it_was(store: Store, value: object) -> None:
    store.key_value.set("k", value)
    assert store.key_value.get("k") == value


def test_none_deletes_a_value(store: Store) -> None:
    store.key_value.set("k", 1)
    store.key_value.set("k", None)
    assert store.key_value.get("k", "default") == "default"


def test_a_value_that_is_no_json_any_more_is_its_default(store: Store) -> None:
    store.key_value.set("k", 1)
    store._db.execute("UPDATE remembered SET value_json = '{'")
    assert store.key_value.get("k", "default") == "default"


def test_one_transaction_spans_all_parts(store: Store) -> None:
    def changes() -> None:
        with store.transaction():
            store.conversations.create()
            store.key_value.set("k", 1)
            raise RuntimeError("undo")

    with pytest.raises(RuntimeError, match="undo"):
        changes()
    assert store.conversations.infos() == []
    assert store.key_value.get("k") is None
