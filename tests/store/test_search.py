import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_conversation_store import ask

from r1desk.store import Store


def found(store: Store, query: str) -> list[str]:
    return [hit.title for hit in store.search(query)]


@pytest.mark.parametrize(("query", "titles"), [
    ("quantum", ["Physics"]), ("QUANTUM chromo", ["Physics"]), ("世界", ["Greeting"]),
    ("你好世", ["Greeting"]), ("好", ["Greeting"]), ("qu", ["Quotes", "Physics"]), ("Qu 世", []),
    ("100%", ["Percent"]), ("0%", ["Percent"]), ("_", []), ('"yes"', ["Quotes"]),
    ("NOT", ["Quotes"]), ("*", []), ("title:x", []), ("", []), ("   ", []), ("nul\0", ["Nul"]),
    ("\0", ["Nul"]), ("after", ["Nul"]), ("Phys", ["Physics"]),
])  # fmt: skip
def test_every_word_is_looked_for_as_it_is(store: Store, query: str, titles: list[str]) -> None:
    for title, text in [
        ("Physics", "Quantum chromodynamics"),
        ("Greeting", "他说：你好世界！"),
        ("Percent", "It is 100% sure"),
        ("Quotes", 'He said "yes" AND NOT no'),
        ("Nul", "nul\0after"),
    ]:
        store.conversations.rename(ask(store, "x", text), title)
    assert found(store, query) == titles


def test_what_is_found_equally_well_is_found_newest_first(store: Store) -> None:
    texts = ("A zebra.", "There is a zebra in every one of these zoos.", "Is it a zebra?")
    asked = [ask(store, f"Question {number}?", text) for number, text in enumerate(texts)]
    for day, key in enumerate(asked):
        store.conversations.set_times(key, 0.0, float(day))
    assert [hit.conversation_id for hit in store.search("zebra")] == asked[::-1]


@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    query=st.text(st.characters(codec=None), max_size=40)
    | st.text("\"*^:(){}+-NOTANDOREA \\%_'\0", max_size=20)
)
def test_no_query_is_an_error_or_spoils_the_next(store: Store, query: str) -> None:
    if not store.conversations.infos():
        store.conversations.rename(store.conversations.create().id, "Physics")
    assert set(found(store, query)) <= {"Physics"}
    assert found(store, "phys") == ["Physics"]


def test_an_answer_is_found_when_it_is_finished_and_as_it_was_finished(store: Store) -> None:
    conversation = store.conversations.create().id
    question = store.messages.append_user(conversation, "question", None)
    answer = store.messages.begin_answer(conversation, question.id)
    before = store._db.connection.total_changes()
    store.messages.save_progress(answer.id, "unfinished thoughts")
    assert store._db.connection.total_changes() - before == 1, "progress must not touch the index"
    assert not store.search("unfinished")
    store.messages.finish_answer(answer.id, "finished thoughts")
    assert not store.search("unfinished")
    (hit,) = store.search("thoughts")
    assert (hit.conversation_id, hit.message_id) == (conversation, answer.id)


def test_a_snippet_marks_the_words_and_has_no_signs_of_markdown(store: Store) -> None:
    ask(store, "x", "# Result\n\nThe **pin** is in `hay()` 2 * 3 # times.")
    assert store.search("pin")[0].snippet == "Result The pin is in hay() 2 * 3 # times."
    ask(store, "x", "lorem ipsum " * 50 + "here is the\nNeedle, the needle. " + "dolor " * 50)
    (hit,) = store.search("needle")
    assert [hit.snippet[s : s + n] for s, n in hit.marks] == ["Needle", "needle"]
    assert hit.snippet.startswith("…")
    assert hit.snippet.endswith("…")
    assert "\n" not in hit.snippet


def test_titles_come_first_and_the_limit_holds(store: Store) -> None:
    for number in range(8):
        ask(store, f"number {number}", "about elephants")
    store.conversations.rename(ask(store, "last one"), "Elephants")
    hits = store.search("elephants", limit=5)
    assert len(hits) == 5
    assert hits[0].title == "Elephants"


@pytest.mark.quiet
def test_ten_thousand_conversations_are_searched_within_100_ms(database: Path) -> None:
    text = "the fast brown fox number {n} jumps over lazy dogs 你好世界 " * 3
    with Store(database) as store:
        with store.transaction():
            rows = [(n, text.format(n=n)) for n in range(1, 10_001)]
            store._db.connection.executemany(
                "INSERT INTO conversations (id, created_at, updated_at, title) "
                "VALUES (?1, ?1, ?1, 'Fox ' || ?1)",
                [(n,) for n, _ in rows],
            )
            store._db.connection.executemany(
                "INSERT INTO messages (conversation_id, role, state, created_at, content) "
                "VALUES (?1, 'user', 'complete', ?1, ?2)",
                rows,
            )
        for query in ("number 7777", "fox", "世界", "你好世", "zz", "lazy dogs 9"):
            best = min(_seconds(store, query) for _ in range(3))
            assert best < 0.1, f"{query!r} took {best * 1000:.0f} ms"
        assert store.search("number 7777")[0].conversation_id == 7777


def _seconds(store: Store, query: str) -> float:
    started = time.perf_counter()
    store.search(query)
    return time.perf_counter() - started
