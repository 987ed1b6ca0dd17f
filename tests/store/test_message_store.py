"""The tree of messages against a plain model of it."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from r1desk.store import MessageState, Store


class Tree(RuleBasedStateMachine):
    """Two conversations; the model keeps parents and, for each message, when it was last shown."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store(Path(self.folder.name) / "c.db")
        self.parent: dict[int, int | None] = {}
        self.home: dict[int, int] = {}
        self.text: dict[int, str] = {}
        self.shown_at: dict[int, int] = {}
        self.head: dict[int, int] = {}
        self.clock = 0

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @initialize()
    def two_conversations(self) -> None:
        self.conversations = [self.store.conversations.create().id for _ in range(2)]

    def up(self, message: int | None) -> list[int]:
        chain = []
        while message is not None:
            chain.append(message)
            message = self.parent[message]
        return chain[::-1]

    def show(self, message: int) -> None:
        self.clock += 1
        self.head[self.home[message]] = message
        self.shown_at.update(dict.fromkeys(self.up(message), self.clock))

    def children(self, message: int) -> list[int]:
        return [m for m, parent in self.parent.items() if parent == message]

    def added(self, message: int, home: int, parent: int | None, text: str) -> None:
        self.parent[message], self.home[message], self.text[message] = parent, home, text
        self.show(message)

    @rule(which=st.integers(0, 1), place=st.integers(0, 50), text=st.text(max_size=20))
    def say(self, which: int, place: int, text: str) -> None:
        home = self.conversations[which]
        places = [None, *(m for m in self.parent if self.home[m] == home)]
        parent = places[place % len(places)]
        self.added(
            self.store.messages.append_user(home, text, parent).id,
            home,
            parent,
            text.replace("\0", "\u2400"),
        )

    @rule(place=st.integers(0, 50), text=st.text(max_size=20))
    def answer(self, place: int, text: str) -> None:
        if self.parent:
            parent = list(self.parent)[place % len(self.parent)]
            answer = self.store.messages.begin_answer(self.home[parent], parent).id
            self.store.messages.save_progress(answer, text[:5])
            self.store.messages.finish_answer(answer, text)
            self.added(answer, self.home[parent], parent, text.replace("\0", "\u2400"))

    @rule(place=st.integers(0, 50))
    def select(self, place: int) -> None:
        if self.parent:
            chosen = leaf = list(self.parent)[place % len(self.parent)]
            while below := self.children(leaf):
                leaf = max(below, key=lambda m: self.shown_at[m])
            self.store.messages.select_branch(chosen)
            self.show(leaf)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = Store(Path(self.folder.name) / "c.db")

    @invariant()
    def shows_the_same_branches(self) -> None:
        for home in getattr(self, "conversations", []):
            path = self.store.messages.path(home)
            assert [m.id for m in path] == self.up(self.head.get(home))
            assert [m.content for m in path] == [self.text[m.id] for m in path]
            assert all(m.state is MessageState.COMPLETE for m in path)
            for node in path:
                same = [
                    m
                    for m, p in self.parent.items()
                    if p == node.parent_id and self.home[m] == home
                ]
                assert self.store.messages.siblings(node.id) == sorted(same)


TestTree = Tree.TestCase
TestTree.settings = settings(max_examples=25, stateful_step_count=25)


def test_memory_begins_at_one_message_of_a_branch(store: Store) -> None:
    conversation = store.conversations.create().id
    first = store.messages.append_user(conversation, "one", None)
    answer = store.messages.begin_answer(conversation, first.id)
    second = store.messages.append_user(conversation, "two", answer.id)
    store.messages.set_memory_start(second.id, second.id)
    other = store.messages.append_user(conversation, "another two", answer.id)
    store.messages.set_memory_start(other.id, answer.id)
    assert [m.memory_start for m in store.messages.path_to(second.id)] == [False, True, True]
    assert [m.memory_start for m in store.messages.path_to(other.id)] == [False, True, False]
    store.messages.set_memory_start(second.id, None)
    assert not any(m.memory_start for m in store.messages.path_to(second.id))
    assert not any(m.memory_start for m in store.messages.path_to(other.id))
