"""The next message is counted once typing pauses, and estimated where the count has to wait."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

from PySide6.QtCore import QObject, QTimer, Signal
from pytestqt.qtbot import QtBot

from chat.shown_messages import answer, user
from deepseek_r1.core.events import FinishReason, GenerationStats, ModelFacts
from deepseek_r1.core.messages import Message
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.host.protocol import EnginePhase, EngineState, Heartbeat
from r1desk.chat.context.loaded_model import NotCounted, TokenCounter
from r1desk.chat.context.prompt_size_controller import PromptSizeController
from r1desk.chat.values.prompt import with_attachments
from r1desk.platform.background_thread import ask_in_background
from r1desk.platform.tasks import Later
from r1desk.store import AnswerSources, Attachment, ChatMessage
from support.awaiting import result_of
from support.models_double import ModelsDouble

FACTS = ModelFacts(
    path="", name="", architecture="", file_mib=0, parameters=0, quantisation="",
    context_length=1000, context_trained=1000, vocabulary=1, reasons=False, engine="",
)  # fmt: skip
STATS = GenerationStats(
    finish_reason=FinishReason.STOP, prompt_tokens=100, completion_tokens=60, thinking_tokens=10
)


MODELS = ModelsDouble(1000)
MODELS.facts = FACTS


class Documents:
    """Those of the conversation shown, and its settings."""

    settings = SamplingSettings(max_tokens=50), ""

    def __init__(self, shown: tuple[Attachment, ...]) -> None:
        self.shown = shown


class ShownChat(QObject):
    """A conversation on the screen."""

    branch_shown = Signal(object, list)
    answer_finished = Signal(object)
    busy_changed = Signal()

    def __init__(self, branch: list[ChatMessage]) -> None:
        super().__init__()
        self.shown_branch, self.busy, self.busy_here = branch, False, False
        self.preparing = True  # a count may have to wait


class Engine(QObject):
    """The engine, which counts while it writes."""

    heartbeat = Signal(object)
    state = EngineState.IDLE


class SlowCounter:
    """Counts one token a character of all messages, when the test allows it."""

    available = True

    def __init__(self) -> None:
        self.engine = Engine()
        self.waiting: list[tuple[Later[int], int]] = []

    async def count(self, messages: Sequence[Message]) -> int:
        later: Later[int] = Later()
        self.waiting.append((later, sum(len(message.content) for message in messages)))
        return await later

    def give_up(self) -> None:
        """End the count early, as where an answer has begun meanwhile."""
        self.waiting.pop()[0].end(NotCounted())

    def serve(self) -> None:
        while self.waiting:
            later, size = self.waiting.pop(0)
            later.give(size)


def controller(branch, documents=()):
    counter = SlowCounter()
    made = PromptSizeController(ShownChat(branch), counter, MODELS, Documents(documents))
    return made, counter


def test_the_parts_of_the_next_message_are_counted(qtbot: QtBot) -> None:
    sizes, counter = controller([user(1, "x" * 30), answer(2, "y" * 20)])
    sizes.set_message("hello")
    qtbot.waitUntil(lambda: bool(counter.waiting))
    counter.serve()
    assert sizes.size is not None
    assert (sizes.size.history, sizes.size.text, sizes.size.reserve) == (50, 5, 50)
    assert sizes.size.exact
    assert sizes.size.history_exact


def test_a_count_that_waits_is_estimated_and_not_sent_twice(qtbot: QtBot) -> None:
    sizes, counter = controller([user(1, "x"), answer(2, "y", stats=STATS)])
    sizes.set_message("hello")
    qtbot.waitUntil(lambda: bool(counter.waiting) and sizes.size is not None)
    assert sizes.size.history == 150  # of the last answer's numbers, without its thinking
    assert not sizes.size.history_exact
    sizes.set_message("hello there")
    qtbot.wait(500)
    assert len(counter.waiting) == 1
    counter.serve()
    qtbot.waitUntil(lambda: bool(counter.waiting))  # for the text that was typed since
    counter.serve()
    assert sizes.size.text == len("hello there")
    assert sizes.size.exact


def test_a_text_that_was_counted_is_not_estimated_otherwise_a_moment_later(qtbot: QtBot) -> None:
    sizes, counter = controller([user(1, "x"), answer(2, "y", stats=STATS)])
    text = "word " * 100  # 125 tokens by the rule of thumb, 500 of this model's
    sizes.set_message(text * 2)
    qtbot.waitUntil(lambda: bool(counter.waiting))
    counter.serve()
    counter.serve()
    assert (sizes.size.text, sizes.size.exact) == (1_000, True)
    sizes.set_message(text)
    assert (sizes.size.text, sizes.size.exact) == (250, False), "twice the rule at most"
    sizes.set_message(text * 2)
    assert sizes.size.text == 1_000


def test_a_count_that_the_engine_gave_up_is_followed_by_others(qtbot: QtBot) -> None:
    sizes, counter = controller([user(1, "x" * 30), answer(2, "y" * 20)])
    sizes.set_message("hello")
    qtbot.waitUntil(lambda: bool(counter.waiting))
    counter.give_up()
    sizes.set_message("hello there")
    qtbot.waitUntil(lambda: bool(counter.waiting))
    counter.serve()
    assert sizes.size is not None
    assert sizes.size.text == len("hello there")
    assert sizes.size.exact


def test_a_file_is_estimated_by_the_tokens_that_were_counted(qtbot: QtBot) -> None:
    sizes, counter = controller([user(1, "x"), answer(2, "y", stats=STATS)])
    sizes.set_message("hello")
    qtbot.waitUntil(lambda: sizes.size is not None)
    table = Attachment("prices.csv", "apple,3\n" * 1000, tokens=77)
    sizes.set_message("", (table,))
    assert sizes.size.text == 77
    assert not sizes.size.exact
    counter.serve()
    qtbot.waitUntil(lambda: bool(counter.waiting))  # for the message with the file
    counter.serve()
    assert sizes.size.text == len(with_attachments("", (table,)))
    assert sizes.size.exact


def test_while_an_answer_is_written_the_engine_counts(qtbot: QtBot) -> None:
    branch = [user(1, "x"), answer(2, "y", stats=STATS)]
    chat, counter = ShownChat(branch), SlowCounter()
    sizes = PromptSizeController(chat, counter, MODELS, Documents(()))
    chat.busy = True
    chat.busy_changed.emit()
    assert sizes.size is not None
    assert (sizes.size.used, sizes.size.history_exact) == (150, False)  # another chat's answer
    beat = Heartbeat(
        phase=EnginePhase.WORKING, idle_s=0, cpu_s=0, rss_mib=0, peak_mib=0,
        context_used=321, context_length=1000,
    )  # fmt: skip
    counter.engine.state = EngineState.GENERATING
    counter.engine.heartbeat.emit(beat)
    assert sizes.size.used == 150
    chat.busy_here = True
    counter.engine.heartbeat.emit(beat.model_copy(update={"context_used": 0}))
    assert sizes.size.used == 150  # it still reads
    counter.engine.heartbeat.emit(beat)
    assert (sizes.size.used, sizes.size.history_exact) == (321, True)


def test_only_what_the_model_reads_is_counted(qtbot: QtBot) -> None:
    left_out, read = user(1, "x" * 500), user(3, "z" * 10, memory_start=True)
    sizes, counter = controller([left_out, answer(2, "y" * 20), read, answer(4, "a" * 5)])
    sizes.refresh()
    qtbot.waitUntil(lambda: bool(counter.waiting))
    counter.serve()
    assert sizes.size is not None
    assert sizes.size.history == 15


def test_documents_are_counted_once_and_where_they_fit(qtbot: QtBot) -> None:
    mine, shared = (Attachment(n, tokens=tokens, sha256=n) for n, tokens in (("a", 200), ("b", 90)))
    sources = AnswerSources(documents=("b",), whole=True)
    branch = [user(1, "x"), answer(2, "y", stats=STATS, sources=sources)]
    sizes, _counter = controller(branch, (shared,))
    sizes.set_message("hello")
    qtbot.waitUntil(lambda: sizes.size is not None)
    alone = sizes.size.text
    assert sizes.size.whole == ("b",)
    sizes.set_message("hello", (mine,))
    assert (sizes.size.text, sizes.size.whole) == (alone + 200, ("b", "a")), "the history has b"
    sizes.set_message("hello", (replace(mine, searched=True),))
    assert (sizes.size.text, sizes.size.whole) == (alone, ())


def counted(*, busy_ms: int | None) -> int:
    """Of a text of 100 words by a model that counts 7, and is busy for so long; None: for ever."""

    async def reply(*_request, **_fields):
        return SimpleNamespace(tokens=7)

    engine, models = SimpleNamespace(state=EngineState.GENERATING, submit=reply), ModelsDouble(0)
    models.ready = True
    if busy_ms is not None:
        QTimer.singleShot(busy_ms, partial(setattr, engine, "state", EngineState.IDLE))
    counter = TokenCounter(engine, models)
    return result_of(ask_in_background(partial(counter.count_tokens, "word " * 100)))


def test_what_is_just_ending_is_waited_for(qtbot):
    assert counted(busy_ms=200) == 7


def test_a_model_that_goes_on_is_not_waited_for_and_the_estimate_is_cautious(qtbot):
    assert counted(busy_ms=None) > 100
