"""Answers computed together are those computed alone, whatever the cache has room for."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_r1 import CPUInference
from deepseek_r1.core.events import FinishReason, GenerationFinished, PrefillProgress
from deepseek_r1.core.messages import AnswerRequest, RawPrompt
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.interface import AnswerBatch
from deepseek_r1.engine.llama import batching, prefill
from deepseek_r1.engine.llama.binding.context import BatchToken, LlamaContext
from deepseek_r1.engine.llama.sequence_cells import SequenceCells
from deepseek_r1.engine.output.schema import schema_json
from support.forced_answers import ENDLESS, only
from support.prompt_chats import system, user

# ---- cells ----------------------------------------------------------------------------------


class Memory:
    """Stands in for llama.cpp's: remembers which sequence has which length."""

    def __init__(self, sequences: int) -> None:
        self.lengths = [0] * sequences

    def remove(self, sequence: int, length: int) -> bool:
        self.lengths[sequence] = min(self.lengths[sequence], length)
        return True

    def share(self, source: int, target: int, length: int) -> None:
        assert self.lengths[target] == 0
        self.lengths[target] = length


def test_shared_cells_are_counted_once():
    cells = SequenceCells(Memory(3), 3)
    cells.append(0, [1, 2, 3, 4])
    assert cells.longest_prefix([1, 2, 3, 9]) == (0, 3)
    cells.share(0, 1, 3)
    cells.append(1, [9])
    assert cells.used == 5
    assert cells.freed_by([0]) == 1
    assert cells.freed_by([0, 1]) == 5
    cells.truncate(0, 0)
    assert cells.used == 4
    assert cells.tokens[1] == [1, 2, 3, 9]


@given(
    st.lists(
        st.tuples(st.sampled_from(["append", "truncate", "share"]), *[st.integers(0, 6)] * 3),
        max_size=40,
    )
)
def test_the_count_is_that_of_distinct_cells(operations: Sequence[tuple[str, int, int, int]]):
    memory = Memory(3)
    cells = SequenceCells(memory, 3)
    for name, one, other, length in operations:
        source, target = one % 3, other % 3
        if name == "append":
            cells.append(source, list(range(length)))
            memory.lengths[source] += length
        elif name == "truncate":
            cells.truncate(source, length)
        elif source != target:
            cells.share(source, target, min(length, len(cells.tokens[source])))
        assert memory.lengths == [len(held) for held in cells.tokens]
        assert cells.used == cells.freed_by(range(3))
        assert max(memory.lengths) <= cells.used <= sum(memory.lengths)


# ---- answers --------------------------------------------------------------------------------

PROMPTS = [
    "Count from one to ten.",
    "What is the capital of France?",
    "Name a fruit that is yellow.",
    "Is water wet? " * 30,
]


@pytest.fixture(scope="module")
def model(shallow_starter: Path) -> Iterator[CPUInference]:
    with CPUInference(shallow_starter, batch_size=4, context_length=768) as loaded:
        yield loaded


def run(batch: AnswerBatch) -> dict[int, list[object]]:
    """All events of a batch until it is empty, by key."""
    events: dict[int, list[object]] = {}
    while batch.busy:
        for key, event in batch.step():
            events.setdefault(key, []).append(event)
    return events


def add(batch, key, prompt=None, schema=None, **sampling):
    """Ask a question, whatever it is, or what `prompt` says."""
    given = None if schema is None else schema_json(schema)
    settings = SamplingSettings(**sampling)
    batch.add(key, AnswerRequest(prompt or [user("?")], settings, json_schema=given))


def text_of(events: list[object]) -> str:
    return "".join(getattr(event, "text", "") for event in events).strip()


def finished(events: list[object]) -> GenerationFinished:
    last = events[-1]
    assert isinstance(last, GenerationFinished)
    return last


def test_probabilities_are_those_of_single_answers(model: CPUInference):
    options = {"temperature": 0.0, "logprobs": True, "top_logprobs": 5}
    together = model.complete_many(PROMPTS, 2, **options)
    for prompt, answer in zip(PROMPTS, together, strict=True):
        alone = model.complete(prompt, 2, **options).logprobs[0]
        by_token = {top.token: top.logprob for top in alone.top}
        for top in answer.logprobs[0].top[:3]:  # kernels round a little differently
            assert by_token.get(top.token, top.logprob) == pytest.approx(top.logprob, abs=0.2)


def test_each_answer_follows_its_own_schema(model: CPUInference):
    with model.batch() as batch:
        for key, word in enumerate(["alpha", "beta", "gamma", "delta"]):
            add(batch, key, schema=only(word))
        events = run(batch)
    for key, word in enumerate(["alpha", "beta", "gamma", "delta"]):
        assert text_of(events[key]) == f'"{word}"'
        assert finished(events[key]).stats.finish_reason is FinishReason.STOP


def test_a_shared_beginning_is_computed_once(model: CPUInference):
    beginning = system("You are a careful assistant. " * 20)
    with model.batch() as batch:
        for key in range(3):
            add(batch, key, [beginning, user(f"Question {key}")], max_tokens=2)
        events = run(batch)
    cached = [finished(events[key]).stats.cached_tokens for key in range(3)]
    assert cached[0] < 20
    assert min(cached[1:]) > 80
    first = events[1][0]
    assert isinstance(first, PrefillProgress)
    assert first.cached == cached[1]


def test_short_prompts_share_a_step(shallow_starter: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prefill, "DELAY_S", 1000.0)  # however slow this machine is
    sizes: list[int] = []
    compute = LlamaContext.compute_batch

    def counted(context: LlamaContext, tokens: list[BatchToken]) -> None:
        sizes.append(len(tokens))
        compute(context, tokens)

    monkeypatch.setattr(LlamaContext, "compute_batch", counted)
    fresh = CPUInference(shallow_starter, batch_size=4, context_length=768)
    with fresh, fresh.batch() as batch:
        for key in range(4):
            add(batch, key, RawPrompt(tokens=tuple(words(200 + key, 30))), max_tokens=2)
        run(batch)
    # The first prompt alone; then 60 tokens of others beside the first answer.
    assert sizes[0] == 30
    assert sizes[1] > 2 * 30


@pytest.fixture(scope="module")
def many(shallow_starter: Path) -> Iterator[CPUInference]:
    """A model that never measures its speed, so that what cells are worth does not depend on it."""
    with (
        pytest.MonkeyPatch.context() as patch,
        CPUInference(shallow_starter, batch_size=8, context_length=4096) as loaded,
    ):
        patch.setattr(batching, "LEAST_MEASURED", 1 << 30)
        yield loaded


def cached_tokens(model: CPUInference, tokens: Sequence[int]) -> int:
    with model.batch() as batch:
        add(batch, 1, RawPrompt(tokens=tuple(tokens)), max_tokens=1)
        return finished(run(batch)[1]).stats.cached_tokens


def words(question: int, count: int) -> list[int]:
    """Tokens that begin like no other question's."""
    return [1000 + 37 * question + at for at in range(count)]


def test_conversations_that_take_turns_stay_warm(many: CPUInference):
    for turn in range(1, 8):
        for conversation in range(5):
            cached = cached_tokens(many, words(conversation, 60 * turn))
            assert cached == (60 * (turn - 1) if turn > 1 else 0), (turn, conversation)


def test_cells_of_single_questions_do_not_stay_for_ever(many: CPUInference):
    for question in range(24):
        assert cached_tokens(many, words(100 + question, 60)) == 0
    assert many.context_used <= 2 * 60  # and not all eight
    assert cached_tokens(many, words(123, 90)) == 60  # the last one
    assert cached_tokens(many, words(123, 90)) == 89


def test_conversations_are_noticed_after_single_questions(many: CPUInference):
    for question in range(16):
        cached_tokens(many, words(200 + question, 60))
    cached = [
        [cached_tokens(many, words(300 + each, 60 * turn)) for each in range(3)]
        for turn in range(1, 8)
    ]
    assert cached[-1] == [360] * 3


def test_a_common_beginning_makes_no_conversation(many: CPUInference):
    """Most of each prompt is the same system prompt; the rest of each answer is of no use."""
    beginning = words(600, 300)
    for each in range(16):
        cached_tokens(many, beginning + words(700 + each, 40))
    assert many.context_used <= 2 * 400


def test_a_common_beginning_stays_while_single_questions_come(many: CPUInference):
    beginning = words(400, 50)
    asked = [cached_tokens(many, beginning + words(500 + each, 60)) for each in range(16)]
    assert set(asked[1:]) == {50}
    assert many.context_used <= 2 * 110


def test_a_single_answer_after_a_batch_and_a_batch_after_it(model: CPUInference):
    for _ in range(2):
        assert len(model.generate(["a", "b"], 2)) == 2
        assert model.generate("?", json_schema=only("x")).strip() == '"x"'
        assert model.embed(["a"])


@pytest.mark.slow
def test_all_answers_end_where_the_cache_holds_only_one_of_them(shallow_starter: Path):
    model = CPUInference(shallow_starter, batch_size=4, context_length=256)
    with model, model.batch() as batch:
        for key in range(5):  # about 100 tokens each
            add(batch, key, [user(f"Question {key}")], only("x" * 160))
        events = run(batch)
    assert [text_of(events[key]) for key in range(5)] == [f'"{"x" * 160}"'] * 5


def test_a_cancelled_answer_ends_alone(model: CPUInference):
    with model.batch() as batch:
        add(batch, 1, schema=ENDLESS)
        add(batch, 2, schema=only("ok"))
        for _ in range(4):
            batch.step()
        batch.cancel(1)
        events = run(batch)
    assert finished(events[1]).stats.finish_reason is FinishReason.CANCELLED
    assert finished(events[2]).stats.finish_reason is FinishReason.STOP


def test_an_answer_that_comes_later_does_not_wait_for_a_long_one(model: CPUInference):
    with model.batch() as batch:
        add(batch, 1, schema=ENDLESS)
        for _ in range(10):
            batch.step()
        add(batch, 2, schema=only("ok"))
        order: list[int] = []
        while 2 not in order:
            order += [key for key, event in batch.step() if isinstance(event, GenerationFinished)]
        assert order == [2]
        batch.cancel(1)
        run(batch)
