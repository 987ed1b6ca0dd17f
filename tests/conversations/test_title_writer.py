"""The model writes a title only when it is asked to, gives way, and a failure is a sentence."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from PySide6.QtWidgets import QApplication

from chat.chat_stack import ChatStack, chat_stack
from deepseek_r1.core.errors import EngineFailed
from deepseek_r1.core.events import FinishReason
from deepseek_r1.host.protocol import CancelRequest, GenerateRequest
from r1desk.conversations.title_writer import TitleWriter
from r1desk.widgets.notice_bar import Notice


class Naming:
    """A chat of one exchange, and what the writer of titles says."""

    def __init__(self, stack: ChatStack) -> None:
        self.stack, self.titles, self.notices = stack, list[tuple[int, str]](), list[Notice]()
        services = SimpleNamespace(
            engine=stack.engine.bridge,
            store=stack.store,
            notify=self.notices.append,
            withdraw=lambda _topic: self.notices.clear(),
        )
        self.writer = TitleWriter(services, stack.chat)
        self.writer.written.connect(lambda *title: self.titles.append(title))
        stack.exchange("Why is the sky blue?", "Because of scattering.")

    def ask(self) -> GenerateRequest:
        """Ask for a title; what the engine was asked for."""
        self.stack.do(self.writer.start, 1)
        return self.stack.engine.asked

    @property
    def said(self) -> str:
        """The notices."""
        return "\n".join(notice.text for notice in self.notices)


@pytest.fixture
def naming(tmp_path: Path, qapp: QApplication) -> Iterator[Naming]:
    with chat_stack(tmp_path) as stack:
        yield Naming(stack)


def test_a_title_is_short_without_thinking_and_gives_way_to_an_answer(naming: Naming) -> None:
    assert len(naming.stack.engine.of_kind(GenerateRequest)) == 1, "never by itself"
    asked = naming.ask()
    assert [m.content for m in asked.messages][:2] == naming.stack.texts
    assert (asked.sampling.max_tokens, asked.sampling.thinking_budget) == (96, 0)
    assert asked.yields
    assert "writing a title" in naming.said
    naming.stack.engine.say('"Why the Sky Is Blue."')
    naming.stack.finish()
    assert (naming.titles, naming.said) == ([(1, "Why the Sky Is Blue")], "")


def test_a_title_has_ten_words_at_most(naming: Naming) -> None:
    naming.ask()
    naming.stack.engine.say('"a b c d e f g h i j k l"')
    naming.stack.finish()
    assert naming.titles == [(1, "a b c d e f g h i j")]


def test_the_writing_of_a_title_is_stopped_by_its_button_and_by_esc(naming: Naming) -> None:
    for by_esc in (False, True):
        asked = naming.ask()
        stop = naming.stack.chat.stop if by_esc else naming.notices[0].actions["Stop"]
        stop()
        assert naming.stack.engine.of_kind(CancelRequest)[-1].id == asked.id
        naming.stack.finish(FinishReason.CANCELLED)
        assert (naming.titles, naming.said) == ([], "")
    asked = naming.stack.engine.of_kind(GenerateRequest)
    naming.writer.start(1)
    naming.stack.do(naming.stack.chat.stop)  # before the engine is asked
    assert naming.stack.engine.of_kind(GenerateRequest) == asked


def test_a_failure_is_a_sentence(naming: Naming) -> None:
    naming.ask()
    naming.stack.engine.fail(EngineFailed(detail="out of luck"))
    assert "out of luck" in naming.said
    naming.ask()
    naming.stack.engine.say('""')
    naming.stack.finish()
    assert naming.said.startswith("The model wrote no title.")
    assert naming.titles == []
