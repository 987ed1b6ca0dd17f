"""A conversation that has filled the context goes on in each of the ways, at its price.

The engine counts a token for each word.
"""

import pytest

from chat.chat_stack import CONTEXT, ChatStack
from deepseek_r1.core.errors import EngineFailed, PromptTooLong
from deepseek_r1.core.events import Bill, BillItem, BillLine, FinishReason, ModelFacts, ModelLoaded
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.host.protocol import CountTokensRequest, GenerateRequest
from deepseek_r1.memory.advice import Advice
from deepseek_r1.memory.forecast import Estimate
from r1desk.chat.context.context_options import longer_context
from r1desk.chat.context.context_overflow import ContextOverflow
from r1desk.chat.context.loaded_model import MeasuredSpeed, TokenCounter
from r1desk.chat.values.intents import ContextOption, ContextOptions, ContextWay

FACTS = ModelFacts(
    path="/model.gguf", name="Model", architecture="llama", file_mib=1, parameters=1,
    quantisation="Q4_K_M", context_length=CONTEXT, context_trained=8192, vocabulary=1,
    reasons=False, engine="",
)  # fmt: skip
BILL = Bill(lines=(BillLine(name=BillItem.WEIGHTS, planned_mib=100.0),), budget_mib=500.0)
LONG = "sheep " * 180
RESERVE = 80  # of the conversation's sampling


class Documents:
    """None, and the settings of the conversation shown."""

    settings = SamplingSettings(max_tokens=RESERVE), ""


class Overflow:
    """The overflow of a chat whose engine counts words."""

    def __init__(self, stack: ChatStack) -> None:
        self.stack = stack
        self.models = stack.chat.models
        self.models.current = ModelLoaded(
            facts=FACTS, bill=BILL, load_s=1, threads=1, threads_prefill=1
        )
        self.models.ready = True
        counter = TokenCounter(stack.engine.bridge, self.models)
        speed = MeasuredSpeed(stack.chat)
        self.overflow = ContextOverflow(stack.chat, counter, Documents(), speed)
        self._counted = 0

    def count(self) -> None:
        """Let the engine count until nothing is left to count."""
        requests = self.stack.engine.of_kind(CountTokensRequest)
        while len(requests) > self._counted:
            self._counted = len(requests)
            self.stack.engine.count(
                lambda request: sum(len(each.content.split()) for each in request.messages)
            )
            requests = self.stack.engine.of_kind(CountTokensRequest)

    def bill(self, mib: float = 120.0) -> None:
        """Let the bill of a longer context be known."""
        bills = self.stack.engine.bills
        lines = (BillLine(name=BillItem.WEIGHTS, planned_mib=mib),)
        bill = BILL.model_copy(update={"lines": lines})
        bills.requests[-1].give(Estimate(bill, Advice(bills.asked[-1], "", bill)))

    def ask(self, question: str) -> None:
        """Behind two long turns."""
        for number in range(2):
            self.stack.exchange(f"Count {number}.", LONG)
        self.stack.send(question)

    def fill(self, question: str = "How many?") -> None:
        """Two long turns, and a question for which there is no room."""
        self.ask(question)
        self.stack.engine.fail(PromptTooLong(tokens=308, context=CONTEXT))
        self.stack.settle()
        self.count()

    def option(self, way: ContextWay) -> ContextOption:
        """One of the ways that are offered."""
        assert self.overflow.options is not None
        return next(each for each in self.overflow.options.options if each.way is way)

    def choose(self, way: ContextWay) -> None:
        """Take one of them."""
        self.overflow.choose(way)
        self.stack.settle()

    @property
    def prompt(self) -> list[str]:
        """What the engine was given last."""
        return [message.content for message in self.stack.engine.asked.messages]


@pytest.fixture
def full(stack: ChatStack) -> Overflow:
    made = Overflow(stack)
    made.fill()
    made.bill()
    return made


def test_all_ways_are_offered_with_their_price(full: Overflow) -> None:
    options = full.overflow.options
    assert isinstance(options, ContextOptions)
    assert options.message_id == full.stack.shown[-1].id
    assert "80 more for the answer" in options.heading
    ways = [option.way for option in options.options]
    assert ways == [
        ContextWay.LONGER, ContextWay.LEAVE_OUT, ContextWay.SUMMARY, ContextWay.ANYWAY,
    ]  # fmt: skip
    assert all(option.price for option in options.options)
    assert all(option.possible for option in options.options)
    assert full.stack.engine.bills.asked[-1].context_length == 2 * CONTEXT


def test_a_conversation_with_room_is_offered_nothing(stack: ChatStack) -> None:
    made = Overflow(stack)
    stack.exchange("Count.", LONG)
    made.count()
    assert made.overflow.options is None
    assert stack.engine.of_kind(CountTokensRequest) == []


def test_left_out_messages_stay_and_are_not_read(full: Overflow) -> None:
    before = full.stack.texts[:-1]
    full.choose(ContextWay.LEAVE_OUT)
    assert full.stack.texts[:-1] == before, "nothing is deleted"
    assert full.prompt == before[2:]
    begins = [message.memory_start for message in full.stack.shown]
    assert begins.index(True) == 2
    full.stack.answer("Many.")
    assert full.overflow.options is None
    full.stack.open(None)
    full.stack.open(1)
    assert full.stack.shown[2].memory_start, "it was stored"


def test_a_longer_context_is_loaded_and_the_same_question_answered(full: Overflow) -> None:
    wanted: list[LoadSettings] = []
    full.overflow._models.apply = wanted.append
    full.choose(ContextWay.LONGER)
    assert [settings.context_length for settings in wanted] == [2 * CONTEXT]
    assert full.prompt[-1] == "How many?"
    assert not any(message.memory_start for message in full.stack.shown)


def test_after_a_longer_context_from_elsewhere_it_just_goes_on(full: Overflow) -> None:
    longer = FACTS.model_copy(update={"context_length": 1024})
    full.models.current = full.models.current.model_copy(update={"facts": longer})
    full.overflow.refresh()
    full.count()
    options = full.overflow.options
    assert options is not None
    assert [option.way for option in options.options] == [ContextWay.FITS]
    assert "fits now" in options.heading
    full.choose(ContextWay.FITS)
    assert full.prompt[-1] == "How many?"


@pytest.mark.parametrize("trained", [CONTEXT, 0])
def test_no_longer_context_is_promised_that_the_model_was_not_trained_for(stack, trained):
    made = Overflow(stack)
    facts = FACTS.model_copy(update={"context_trained": trained})
    made.models.current = made.models.current.model_copy(update={"facts": facts})
    made.fill()
    if trained:
        assert not made.option(ContextWay.LONGER).possible
        assert stack.engine.bills.asked == []
    else:  # it does not say for how much
        made.bill()
        assert made.option(ContextWay.LONGER).possible


def test_a_longer_context_without_room_in_memory_is_not_possible(stack: ChatStack) -> None:
    made = Overflow(stack)
    made.fill()
    made.bill(mib=10_000_000.0)
    assert not made.option(ContextWay.LONGER).possible
    made.choose(ContextWay.LONGER)
    assert stack.shown[-1].state == "failed"


def test_a_bill_that_cannot_be_made_says_why(stack: ChatStack) -> None:
    made = Overflow(stack)
    made.fill()
    error = EngineFailed(detail="no")
    stack.engine.bills.requests[-1].end(error)
    longer = made.option(ContextWay.LONGER)
    assert (longer.possible, longer.price) == (False, str(error))


def test_a_summary_begins_a_new_branch_and_the_old_one_stays(full: Overflow) -> None:
    stack = full.stack
    old = stack.texts
    full.choose(ContextWay.SUMMARY)
    asked = stack.engine.asked
    assert asked.sampling.max_tokens == CONTEXT // 5
    assert asked.sampling.thinking_budget == 0
    stack.answer("Three hundred sheep.")
    request, summary, question, answer = stack.shown[-4:]
    assert request.sibling_count == 2
    assert summary.memory_start
    assert (question.content, answer.state) == ("How many?", "streaming")
    assert full.prompt == [request.content, "Three hundred sheep.", "How many?"]
    stack.answer("300.")
    stack.do(stack.chat.select_sibling, request.id, -1)
    assert stack.texts == old


def test_a_summary_that_is_stopped_gives_the_question_back(full: Overflow) -> None:
    full.choose(ContextWay.SUMMARY)
    full.stack.finish(FinishReason.CANCELLED)
    assert full.stack.back == ["How many?"]
    assert len(full.stack.engine.of_kind(GenerateRequest)) == 4


def test_it_is_answered_all_the_same_without_the_reserve(full: Overflow) -> None:
    full.choose(ContextWay.ANYWAY)
    assert full.stack.engine.asked.reserve == 0
    assert full.prompt[-1] == "How many?"


def test_an_answer_that_was_cut_goes_on_where_it_ended(stack: ChatStack) -> None:
    made = Overflow(stack)
    made.ask("And now?")
    stack.engine.say("sheep " * 90)
    stack.finish(FinishReason.CONTEXT)
    made.count()
    made.bill()
    assert made.overflow.options is not None
    ways = [option.way for option in made.overflow.options.options]
    assert ContextWay.ANYWAY not in ways
    assert "ended early" in made.overflow.options.heading
    made.choose(ContextWay.LEAVE_OUT)
    assert stack.engine.asked.continues.text == "sheep " * 90


def test_ways_for_a_conversation_that_was_left_are_not_shown(stack: ChatStack) -> None:
    made = Overflow(stack)
    made.ask("How many?")
    stack.engine.fail(PromptTooLong(tokens=308, context=CONTEXT))
    stack.settle()  # the count has begun
    stack.open(None)
    made.count()
    assert made.overflow.options is None
    made.choose(ContextWay.SUMMARY)
    assert stack.shown == []


def test_an_engine_that_says_nothing_of_its_context_stops_no_window() -> None:
    silent = FACTS.model_copy(update={"context_length": 0, "context_trained": 0})
    assert longer_context(silent, needed=300) == 512
