"""`CPUInference`: what it says, counts, remembers and how it stops.

The real starter model answers where the answer has to make sense, its first blocks elsewhere.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.errors import (
    BudgetTooSmall,
    ContextTooLarge,
    EngineFailed,
    LoadStopped,
    ModelFileMissing,
    ModelNotLoaded,
    PromptTooLong,
    WrongUsage,
)
from deepseek_r1.core.events import (
    AnswerDelta,
    FinishReason,
    GenerationFinished,
    PrefillProgress,
)
from deepseek_r1.core.settings import KVType, LoadSettings, SamplingSettings
from deepseek_r1.engine.interface import GenerationResult
from deepseek_r1.engine.llama.binding.library import CpuVariant, library
from deepseek_r1.hardware import cpu
from support.budgets import ROOMY_MIB
from support.closing_replies import text_of
from support.forced_answers import ENDLESS, only
from support.gguf_files import tiny_llama, tiny_mixture, tiny_qwen2
from support.patience import PATIENCE_S
from support.prompt_chats import assistant, user

pytestmark = pytest.mark.integration

GREEDY = SamplingSettings(temperature=0.0)
# Nearly random tokens, among which the end of the answer hardly ever comes up.
RANDOM = SamplingSettings(temperature=5.0, top_p=1.0)
# The starter's two ends of a text are ruled out: such an answer lasts until it is stopped.
NEVER_ENDING = RANDOM.model_copy(
    update={"logit_bias": {0: -100.0, 2: -100.0}, "end_repetition": False}
)
SUM = "What is 2+2?"
LONG_TEXT = "The quick brown fox jumps over the lazy dog. " * 300


@pytest.fixture(scope="module")
def model(shallow_starter: Path) -> Iterator[CPUInference]:
    with CPUInference(shallow_starter, batch_size=4) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def real(starter: Path) -> Iterator[CPUInference]:
    with CPUInference(starter, batch_size=4) as loaded:
        yield loaded


# ---- loading ------------------------------------------------------------------------------------


def test_the_loaded_model_is_described(model: CPUInference) -> None:
    facts = model.loaded.facts
    assert (facts.architecture, facts.quantisation) == ("llama", "Q4_1")
    assert facts.context_length == facts.context_trained == 8192
    assert facts.engine.startswith("llama.cpp")
    assert min(model.loaded.threads, model.loaded.threads_prefill) >= 1
    assert model.loaded.load_s > 0


@pytest.mark.parametrize("name", ["weights", "kv_cache"])
def test_the_bill_is_what_is_allocated(model: CPUInference, name: str) -> None:
    line = next(line for line in model.loaded.bill.lines if line.name == name)
    assert line.measured_mib == pytest.approx(line.planned_mib, rel=0.01)


def test_logits_are_bounded_and_not_a_row_for_each_token(model: CPUInference) -> None:
    sizes = {line.name: line.measured_mib for line in model.loaded.bill.lines}
    per_token_mib = 49152 * 4 / 2**20
    assert (sizes["output"] or 0) <= 4 * per_token_mib + 0.1  # four sequences
    assert (sizes["compute"] or 0) < 256 * per_token_mib


def test_progress_is_reported_from_nothing_to_all(shallow_starter: Path) -> None:
    fractions: list[float] = []
    with CPUInference(shallow_starter, on_progress=lambda f: fractions.append(f) is None):
        assert fractions[0] == 0.0
        assert fractions[-1] == 1.0
        assert fractions == sorted(fractions)


def test_a_load_can_be_stopped(starter: Path) -> None:
    with pytest.raises(LoadStopped):
        CPUInference(starter, on_progress=lambda fraction: fraction < 0.3)


def test_an_error_of_the_listener_comes_through(starter: Path) -> None:
    def listener(_fraction: float) -> bool:
        raise RuntimeError("the window is gone")

    with pytest.raises(RuntimeError, match="the window is gone"):
        CPUInference(starter, on_progress=listener)


@pytest.mark.parametrize("make", [tiny_llama, tiny_qwen2, tiny_mixture])
def test_other_architectures_answer(make: object, tmp_path: Path) -> None:
    path = make(tmp_path / "tiny.gguf")  # type: ignore[operator]
    with CPUInference(path) as tiny:
        assert tiny.loaded.facts.context_length == 512  # all it was trained for
        assert tiny.complete("the", 5).stats.completion_tokens >= 1


def test_refusals(starter: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileMissing):
        CPUInference(tmp_path / "none.gguf")
    with pytest.raises(BudgetTooSmall):
        CPUInference(starter, memory_budget=256)
    with pytest.raises(ContextTooLarge):
        CPUInference(starter, context_length=100_000, memory_budget=100_000)
    with pytest.raises(WrongUsage):
        CPUInference(starter, thread_count=-1)
    with pytest.raises(WrongUsage):
        CPUInference(starter, kv_type="q3")
    with pytest.raises(WrongUsage):
        CPUInference(starter, batch_size=0)


# ---- answering ----------------------------------------------------------------------------------


def test_a_question_is_answered(real: CPUInference) -> None:
    assert "4" in real.generate(SUM, 24, sampling=GREEDY)


def test_the_stream_reports_everything_in_order(model: CPUInference) -> None:
    events = list(model.stream("Name three colours.", 30, sampling=GREEDY))
    assert isinstance(events[0], PrefillProgress)
    finished = [isinstance(event, GenerationFinished) for event in events]
    assert finished == [False] * (len(events) - 1) + [True]
    prefill = [event for event in events if isinstance(event, PrefillProgress)]
    assert prefill[-1].done == prefill[-1].total
    counts = [event.completion_tokens for event in events if isinstance(event, AnswerDelta)]
    assert counts == sorted(counts)
    assert text_of(events) == model.generate("Name three colours.", 30, sampling=GREEDY)


def test_counts_are_exact(model: CPUInference) -> None:
    prompt = [user("Name three colours.")]
    stats = model.complete(prompt, 20, sampling=GREEDY, json_schema=ENDLESS).stats
    assert stats.prompt_tokens == model.count_tokens(prompt)
    assert stats.completion_tokens == 20
    assert stats.finish_reason is FinishReason.LENGTH
    assert stats.context_used == model.context_used == stats.prompt_tokens + 19
    assert stats.ttft_s >= stats.prefill_s > 0
    assert stats.decode_s > 0
    assert stats.peak_mib > 100


def test_the_end_token_counts(model: CPUInference) -> None:
    held = {"sampling": GREEDY, "json_schema": only("hi")}
    answer = model.complete("Say hi", 200, **held)
    assert answer.stats.finish_reason is FinishReason.STOP
    shorter = model.complete("Say hi", answer.stats.completion_tokens - 1, **held)
    assert shorter.text == answer.text
    assert shorter.stats.finish_reason is FinishReason.LENGTH


def test_the_same_seed_gives_the_same_text(model: CPUInference) -> None:
    def reported(seed: int) -> str:
        sampling = SamplingSettings(temperature=1.2, top_p=1.0, seed=seed)
        return model.generate("Tell a story.", 24, sampling=sampling)

    assert reported(7) == reported(7)
    assert reported(7) != reported(8)


def test_a_random_seed_is_reported_and_reproduces_the_text(model: CPUInference) -> None:
    drawn = model.complete("Tell a story.", 16, sampling=SamplingSettings(temperature=1.0))
    again = SamplingSettings(temperature=1.0, seed=drawn.stats.seed)
    assert model.generate("Tell a story.", 16, sampling=again) == drawn.text


@pytest.mark.slow
def test_every_sampler_setting_matters_or_is_harmless(model: CPUInference) -> None:
    plain = model.generate("Count to five.", 24, sampling=GREEDY)
    one = SamplingSettings(temperature=1.0, top_k=1, seed=1)
    sure = SamplingSettings(temperature=1.0, min_p=1.0, seed=1)
    narrow = SamplingSettings(temperature=1.0, top_p=0.0, seed=1)
    for sampling in (one, sure, narrow):
        assert model.generate("Count to five.", 24, sampling=sampling) == plain
    punished = SamplingSettings(temperature=0.0, repeat_penalty=2.0)
    repeated = model.generate("Repeat: ha ha ha ha ha ha ha ha", 40, sampling=GREEDY)
    assert model.generate("Repeat: ha ha ha ha ha ha ha ha", 40, sampling=punished) != repeated


@pytest.mark.parametrize(
    "text", ["你好，请用中文回答。", "🙂👩‍👩‍👧 emoji", "a\x00b", "lone \ud83d half", ""]
)
def test_any_text_may_be_asked(model: CPUInference, text: str) -> None:
    answer = model.complete(text, 12)
    assert answer.stats.completion_tokens >= 1
    answer.text.encode("utf-8")


@pytest.mark.parametrize("text", ["🎉🎉🎉🎉🎉", "你好！你好！🙂", "👩‍👩‍👧 ñ ö"])
def test_characters_of_several_tokens_come_out_whole(model: CPUInference, text: str) -> None:
    events = model.stream("Copy this: " + text, 60, sampling=GREEDY, json_schema=only(text))
    pieces = [event.text for event in events if isinstance(event, AnswerDelta)]
    assert json.loads("".join(pieces)) == text
    assert not any("\ufffd" in piece for piece in pieces)


# ---- the KV cache -------------------------------------------------------------------------------


def test_the_second_turn_reads_only_what_is_new(model: CPUInference) -> None:
    first = [user("Name a colour.")]
    answer = model.complete(first, 20, sampling=RANDOM)
    second = [*first, assistant(answer.text), user("And another one?")]
    stats = model.complete(second, 30, sampling=RANDOM).stats
    assert answer.stats.prompt_tokens <= stats.cached_tokens < stats.prompt_tokens


def test_a_second_turn_is_answered_as_without_the_first_in_the_cache(shallow_starter: Path) -> None:
    """At temperature 0 the answer is the same whatever the cache holds."""
    first = [user("Name a colour. " + "Here are some words that you need not read. " * 40)]
    with CPUInference(shallow_starter) as warm:
        answer = warm.complete(first, 20, sampling=GREEDY)
        second = [*first, assistant(answer.text), user("And another one?")]
        reused = warm.complete(second, 30, sampling=GREEDY)
    with CPUInference(shallow_starter) as cold:
        fresh = cold.complete(second, 30, sampling=GREEDY)
    assert fresh.stats.cached_tokens == 0 < reused.stats.cached_tokens
    assert reused.text == fresh.text


def test_the_same_question_again_reads_one_token(model: CPUInference) -> None:
    prompt = [user("What is a noun?")]
    model.complete(prompt, 10, sampling=RANDOM)
    again = model.complete(prompt, 10, sampling=RANDOM)
    assert again.stats.cached_tokens == again.stats.prompt_tokens - 1


@pytest.mark.parametrize("kv_type", list(KVType))
def test_every_kind_of_cache_answers(shallow_starter: Path, kv_type: KVType) -> None:
    with CPUInference(shallow_starter, context_length=512, kv_type=kv_type) as model:
        assert len(model.generate("What is the capital of France?", 12, sampling=GREEDY)) > 10


@pytest.mark.parametrize(
    ("features", "kv_type"), [(("SSE3", "AVX", "F16C"), KVType.F16), (("SSE3", "AVX"), KVType.Q8_0)]
)
def test_an_automatic_cache_has_the_type_that_the_loaded_code_is_fast_with(
    shallow_starter, monkeypatch, features, kv_type
):
    monkeypatch.setattr(library(), "cpu_variant", CpuVariant("", features))
    with CPUInference(shallow_starter, kv_type=kv_type) as named:
        wanted = cache_mib(named)
    with CPUInference(shallow_starter) as model:
        assert cache_mib(model) == wanted
        assert len(model.generate("What is the capital of France?", 12, sampling=GREEDY)) > 10
    assert wanted[0] == pytest.approx(wanted[1], rel=0.01)


def cache_mib(model: CPUInference) -> tuple[float, float]:
    """The planned and the measured size of the KV cache."""
    line = next(x for x in model.loaded.bill.lines if x.name == "kv_cache")
    return line.planned_mib, line.measured_mib or 0.0


def test_a_full_context_ends_the_answer_and_the_next_one_works(shallow_starter: Path) -> None:
    with CPUInference(shallow_starter, context_length=256) as model:
        stats = model.complete("Count.", 2000, json_schema=ENDLESS).stats
        assert stats.finish_reason is FinishReason.CONTEXT
        assert stats.context_used == 256
        assert stats.completion_tokens == 256 - stats.prompt_tokens + 1
        assert model.complete("Hi", 5).stats.completion_tokens >= 1


def test_a_prompt_that_does_not_fit_is_refused_and_nothing_is_lost(model: CPUInference) -> None:
    before = model.context_used
    with pytest.raises(PromptTooLong):
        model.generate([user(LONG_TEXT * 3)])
    assert model.context_used == before
    assert model.generate("Hi", 5)


# ---- stopping -----------------------------------------------------------------------------------


def test_a_stop_between_asking_and_reading_counts(model: CPUInference) -> None:
    events = model.stream("Tell a long story.", 100)
    model.cancel()
    *_, finished = events
    assert isinstance(finished, GenerationFinished)
    assert finished.stats.finish_reason is FinishReason.CANCELLED
    assert finished.stats.completion_tokens == 0


def test_a_stop_with_nothing_running_stops_nothing(model: CPUInference) -> None:
    model.cancel()
    assert (
        model.complete("Hi", 3, sampling=GREEDY).stats.finish_reason is not FinishReason.CANCELLED
    )


def test_what_was_read_before_a_stop_is_kept(model: CPUInference) -> None:
    model.generate("Hi", 1)
    for event in model.stream("z" + LONG_TEXT, 10):
        if isinstance(event, PrefillProgress) and event.done > event.cached:
            model.cancel()
            kept = event.done
    again = next(iter(model.stream("z" + LONG_TEXT, 1)))
    assert isinstance(again, PrefillProgress)
    assert again.cached >= kept


def test_dropping_the_stream_ends_it(model: CPUInference) -> None:
    for _ in model.stream("Tell a long story.", 100):
        break
    assert model.generate("Hi", 3)


# ---- threads ------------------------------------------------------------------------------------


def test_threads_change_between_two_tokens(model: CPUInference) -> None:
    before = model.threads
    text = ""
    for event in model.stream("Count to ten.", 30, sampling=GREEDY):
        if isinstance(event, AnswerDelta):
            text += event.text
            model.set_threads(1 + event.completion_tokens % 2, 2)
    assert model.threads in {(1, 2), (2, 2)}
    model.set_threads(0, 0)
    assert model.threads == before  # a reproducible answer moves no thread count
    assert model.threads[1] == cpu().threads_prefill
    assert 1 <= model.threads[0] <= cpu().threads
    assert len(text) > 10
    with pytest.raises(WrongUsage):
        model.set_threads(-1, 0)


def test_progress_is_reported_while_it_works(shallow_starter: Path) -> None:
    seen = set()
    with CPUInference(shallow_starter) as model:
        for _ in model.stream("q" + LONG_TEXT[:4000], 5):
            seen.add(model.last_progress)
            assert time.monotonic() - model.last_progress < 30
    assert len(seen) > 5


def test_a_closed_model_refuses_to_answer(shallow_starter: Path) -> None:
    model = CPUInference(shallow_starter, context_length=256)
    waiting = model.stream("Tell a long story.", 50)
    next(waiting)
    model.close()
    model.close()
    assert list(waiting) == []
    with pytest.raises(ModelNotLoaded):
        model.generate("Hi")


def test_closing_ends_an_answer_in_another_thread(shallow_starter: Path) -> None:
    model = CPUInference(shallow_starter)
    begun = threading.Event()
    reasons: list[FinishReason] = []

    def ask() -> None:
        for event in model.stream("Tell a long story.", 4000, sampling=NEVER_ENDING):
            begun.set()
            if isinstance(event, GenerationFinished):
                reasons.append(event.stats.finish_reason)

    thread = threading.Thread(target=ask)
    thread.start()
    assert begun.wait(PATIENCE_S)
    model.close()
    thread.join(PATIENCE_S)
    assert reasons == [FinishReason.CANCELLED]


def test_closing_ends_an_answer_that_begins_at_that_moment(shallow_starter, monkeypatch):
    """It has its turn, and counts cancels only from after the one by `close`."""
    model = CPUInference(shallow_starter, queue=True)
    begins, cancelled, reasons = threading.Event(), threading.Event(), list[FinishReason]()
    reset, cancel = model._engine.reset_cancel, model._engine.cancel

    def reset_late() -> None:
        begins.set()
        assert cancelled.wait(PATIENCE_S)
        reset()

    def cancel_it() -> None:
        cancel()
        cancelled.set()

    monkeypatch.setattr(model._engine, "reset_cancel", reset_late)
    monkeypatch.setattr(model._engine, "cancel", cancel_it)

    def ask() -> None:
        answer = model.complete("Tell a long story.", 4000, sampling=NEVER_ENDING)
        reasons.append(answer.stats.finish_reason)

    thread = threading.Thread(target=ask)
    thread.start()
    assert begins.wait(PATIENCE_S)
    model.close()
    thread.join(PATIENCE_S)
    assert reasons == [FinishReason.CANCELLED]


WORK = {
    "a list": lambda model: model.generate(["Why is the sky blue?"] * 1000, 4),
    "embeddings": lambda model: model.embed([LONG_TEXT] * 1000),
    "the next turn": lambda model: list(model.prepare(LONG_TEXT)),
    "tokens": lambda model: [model.tokenize(LONG_TEXT) for _ in range(1_000_000)],
}


@pytest.mark.parametrize("name", WORK)
def test_closing_ends_what_another_thread_computes(shallow_starter: Path, name: str) -> None:
    model, begun = CPUInference(shallow_starter, context_length=4096), threading.Event()

    def work() -> None:
        begun.set()
        with suppress(EngineFailed, ModelNotLoaded):
            WORK[name](model)

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(PATIENCE_S)
    time.sleep(0.2)
    model.close()
    thread.join(PATIENCE_S)
    with pytest.raises(ModelNotLoaded):
        model.tokenize("a")


def test_closing_does_not_answer_who_waits_in_the_queue(shallow_starter: Path) -> None:
    model, outcomes = CPUInference(shallow_starter, queue=True), list[object]()

    def ask() -> None:
        try:
            answer = model.complete("Tell a long story.", 1000, sampling=NEVER_ENDING)
            outcomes.append(answer.stats.finish_reason)
        except ModelNotLoaded:
            outcomes.append(ModelNotLoaded)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(model._lock._waiting) < 3:
        time.sleep(0.001)
    model.close()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert outcomes.count(FinishReason.CANCELLED) == 1
    assert outcomes.count(ModelNotLoaded) == 3


# ---- many at once -------------------------------------------------------------------------------

QUESTIONS = [
    "Name three colours.",
    SUM,
    "What is the capital of France?",
    "Count to five.",
    "Hello",
]


def test_a_list_of_prompts_gets_the_answers_each_would_get(real: CPUInference) -> None:
    together = real.generate(QUESTIONS, 12, sampling=GREEDY)
    assert len(together) == len(QUESTIONS)
    alone = [real.generate(question, 12, sampling=GREEDY) for question in QUESTIONS]
    # Sums are added in another order, so a close call may fall the other way late in a text.
    assert [text[:12] for text in together] == [text[:12] for text in alone]


def test_answers_wait_for_space_in_the_context(shallow_starter: Path) -> None:
    # Two of them fit beside each other.
    with CPUInference(shallow_starter, context_length=256, batch_size=4) as model:
        text = "A story that takes more than twenty letters."
        questions = ["Tell a story about " + name for name in "abcd"]
        answers = model.generate(questions, 60, json_schema=only(text))
        assert [json.loads(answer) for answer in answers] == [text] * 4


@pytest.mark.parametrize("queue", [False, True])
def test_a_cancel_ends_all_answers_of_a_list_with_a_schema(shallow_starter, queue):
    with CPUInference(shallow_starter, queue=queue) as model:
        answers: list[GenerationResult] = []

        def ask() -> None:
            answers.extend(model.complete_many(["Tell a story."] * 4, 1500, json_schema=ENDLESS))

        thread = threading.Thread(target=ask)
        thread.start()
        while not model.context_used:
            time.sleep(0.001)
        model.cancel()
        thread.join(PATIENCE_S)
    assert [each.stats.finish_reason for each in answers] == [FinishReason.CANCELLED] * 4


def test_every_published_option_is_taken(shallow_starter: Path) -> None:
    with CPUInference(
        shallow_starter,
        settings=LoadSettings(micro_batch=64),
        batch_size=2,
        thread_count=1,
        memory_budget=ROOMY_MIB,
        swap_enabled=True,
        cache_strategy="lru",
        enable_chunk_loading=False,
        context_length=256,
    ) as model:
        assert model.loaded.facts.context_length == 256
        assert model.threads == (1, 1)
        assert model.generate("Hello", max_tokens=4)
    with pytest.raises(WrongUsage):
        CPUInference(shallow_starter, enable_chunk_loading="perhaps")
