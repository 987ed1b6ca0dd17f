"""An EAGLE-3 head follows its target's cells, and changes nothing but the passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.errors import (
    ArchitectureUnknown,
    DraftUnfit,
    EngineFailed,
    ModelFileDamaged,
    ModelRefused,
)
from deepseek_r1.core.events import BillItem, FinishReason
from deepseek_r1.core.messages import Message, RawPrompt, Role
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.base import GenerationResult
from deepseek_r1.engine.draft_times import DraftTimes
from deepseek_r1.engine.llama.speculative.draft_length import LengthRule
from deepseek_r1.engine.llama.speculative.eagle_head import EagleHead
from deepseek_r1.engine.llama.speculative.row_curve import RowCurve
from deepseek_r1.formats.gguf import read_draft_header, read_header
from deepseek_r1.hardware import default_threads
from deepseek_r1.inference.draft_profile import draft_key, save_draft_times
from support.eagle_heads import attached, head_weights, make_head, starter_head, write_head
from support.gguf_files import EMBEDDING, tiny_llama, tiny_qwen3
from support.streaming import FIRST, Bench, budgets, loaded

# A drive on which a pass takes long, and drafting hardly any time.
SLOW_DRIVE = DraftTimes(rows_s={1: 1.0, 16: 1.5}, read_mib_s=0.0, token_s=0.001)
GREEDY = SamplingSettings(temperature=0.0, max_tokens=48)
PROMPT = RawPrompt(text="and then he was in it, as you have it")
ROOMY = 2048
FREE = LengthRule(RowCurve({1: 1e3, 16: 1e3}))  # passes that outweigh any drafting
TEXT = [300, 12, 340, 77, 301, 290, 350, 12, 340, 80, 299, 311, 77, 41, 306, 315]


@dataclass(frozen=True)
class Pair:
    """A target, and a head that can draft what the target writes after `PROMPT`."""

    target: Path
    head: Path
    text: str  # without drafts


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Its head has random weights and only the answer's tokens: now and then it is right."""
    folder = tmp_path_factory.mktemp("eagle")
    target = tiny_llama(folder / "target.gguf")
    with CPUInference(target, memory_budget=ROOMY, drafts="off", context_length=256) as model:
        text = model.complete(PROMPT, sampling=GREEDY).text
        context = model._engine._context
        written = context.cells[-40:]
    head = make_head(folder / "head.gguf", target, table=sorted(set(written)))
    return Pair(target, head, text)


@contextmanager
def opened(pair: Pair, times: DraftTimes = SLOW_DRIVE, **options: object) -> Iterator[CPUInference]:
    """The pair, with times by which drafts are always worthwhile."""
    target, head = read_header(pair.target), read_draft_header(pair.head)
    for streams in (False, True):
        save_draft_times(draft_key(target, head, default_threads(), streams=streams), times)
    given = {"memory_budget": ROOMY, "context_length": 256} | options
    with CPUInference(pair.target, draft_model=pair.head, **given) as model:
        yield model


def head_of(model: CPUInference) -> EagleHead:
    head = model._engine._draft_memory.model
    assert isinstance(head, EagleHead)
    return head


def cells_of(model: CPUInference) -> list[tuple[int, int]]:
    """The head's cells; each is that of its position in the target's text."""
    cells, text = head_of(model)._cells, model._engine._context.cells
    assert [position for position, _ in cells] == sorted({position for position, _ in cells})
    for position, token in cells:
        assert position + 1 >= len(text) or text[position + 1] == token
    return list(cells)


def answered(model: CPUInference, sampling: SamplingSettings = GREEDY) -> GenerationResult:
    return model.complete(PROMPT, sampling=sampling)


@pytest.mark.integration
def test_an_answer_is_the_one_without_drafts(pair: Pair) -> None:
    with opened(pair) as model:
        result = answered(model)
        assert result.text == pair.text
        assert len(cells_of(model)) > 40
        assert 0 < result.stats.accepted < result.stats.drafted


@pytest.mark.slow
@pytest.mark.integration
def test_an_answer_of_a_streamed_model_is_the_one_without_drafts(
    starter: Path, tmp_path: Path
) -> None:
    """With passes of fewer rows than those that another kernel computes."""
    few_rows = SLOW_DRIVE.model_copy(update={"rows_s": {1: 1.0, 7: 1.2}})
    small = {"memory_budget": 300, "swap_enabled": True, "context_length": 256}
    with CPUInference(starter, drafts="off", window_mib=140.0, **small) as model:
        assert model.weights_stats is not None
        text = answered(model).text
        written = sorted(set(model._engine._context.cells[-40:]))
    head = starter_head(tmp_path / "head.gguf", starter, written)
    with opened(Pair(starter, head, text), few_rows, window_mib=100.0, **small) as model:
        assert model.weights_stats is not None
        result = answered(model)
        assert result.text == text
        assert len(cells_of(model)) > 40
        assert 0 < result.stats.accepted < result.stats.drafted
        assert model.loaded.bill.fits
        assert not result.stats.draft_released
        model._engine._draft_memory.release()
        assert answered(model).text == text


@pytest.mark.integration
@pytest.mark.parametrize("streams", [False, True])
def test_a_head_changes_no_bit_of_its_targets_logits(
    shallow_starter: Path, tmp_path: Path, streams: bool
) -> None:
    head_file = starter_head(tmp_path / "head.gguf", shallow_starter, range(300, 340))
    weights_mib = budgets(shallow_starter)[0] if streams else None
    logits = []
    for follows in (False, True):
        with loaded(shallow_starter, weights_mib, draft_tokens=15) as bench:
            head = attached(bench, head_file) if follows else None
            logits.append(bench.answer(FIRST, 12))
            if head is not None:
                assert len(head._cells) > 20
                head.close()
    assert logits[0] == logits[1]


@pytest.mark.integration
def test_a_head_finds_embeddings_that_are_on_the_disk(pair: Pair) -> None:
    """It uses its target's, whose rows are read when a token needs them."""
    drafted = []
    for weights_mib in (None, budgets(pair.target)[0]):
        with loaded(pair.target, weights_mib, draft_tokens=15) as bench:
            head = attached(bench, pair.head)
            bench.context.compute(TEXT[:12])
            head.begin(TEXT[:12], reproducible=False)
            head.observe(TEXT[12:13])
            drafted.append(head.propose(FREE, 8).tokens)
            head.close()
    assert drafted[0] == drafted[1] != ()


@pytest.mark.integration
def test_a_head_is_paid_for_in_the_bill(pair: Pair) -> None:
    with opened(pair) as model:
        lines = {line.name: line for line in model.loaded.bill.lines}
        draft = lines[BillItem.DRAFT]
        assert draft.measured_mib is not None
        assert 0 < draft.measured_mib <= draft.planned_mib


@pytest.mark.integration
def test_a_drafted_answer_is_the_same_again(pair: Pair) -> None:
    """Also after other answers: its drafts depend on nothing but its own text."""
    with opened(pair) as model:
        first, again_at_once = answered(model), answered(model)
        model.complete("Count from one to thirty.", sampling=SamplingSettings(seed=1, max_tokens=9))
        later = answered(model)
        assert first.text == again_at_once.text == later.text
        counts = {
            (each.stats.drafted, each.stats.accepted) for each in (first, again_at_once, later)
        }
        assert len(counts) == 1


@pytest.mark.integration
def test_an_edited_conversation_keeps_the_cells_of_what_both_have(pair: Pair) -> None:
    said = "it is that he was in the " * 4
    free = SamplingSettings(temperature=0.4, max_tokens=16)
    with opened(pair) as model:
        model.complete(RawPrompt(text=said + "of and to in"), sampling=free)
        before = cells_of(model)
        model.complete(RawPrompt(text=said + "for you on it"), sampling=free)
        after = cells_of(model)
    shared = [cell for cell in after if cell in before]
    assert len(shared) > 20
    assert shared == after[: len(shared)]
    assert [token for _, token in before] != [token for _, token in after]


@pytest.mark.integration
def test_the_next_turns_prompt_is_read_in_advance(pair: Pair) -> None:
    said = [Message(role=Role.USER, content="of it"), Message(role=Role.ASSISTANT, content="No.")]
    with opened(pair) as model:
        for _progress in model.prepare(said):
            pass
        prepared = len(model._engine._context.cells)
        head = head_of(model)
        assert len(cells_of(model)) + len(head._pending) == prepared > 10


@pytest.mark.integration
def test_a_head_begins_behind_a_prompt_from_the_disk(shallow_starter: Path, tmp_path: Path) -> None:
    """Nobody has the hidden states of cells that were restored."""
    head = starter_head(tmp_path / "head.gguf", shallow_starter, range(300, 340))
    pair = Pair(shallow_starter, head, "")
    kept = [Message(role=Role.USER, content="one two three " * 150)]
    asked = [
        *kept,
        Message(role=Role.ASSISTANT, content="four"),
        Message(role=Role.USER, content="?"),
    ]
    free = SamplingSettings(temperature=0.4, max_tokens=12)
    folder = {"prompt_cache": tmp_path / "prompts", "context_length": 1024}
    with opened(pair, **folder) as model:
        for _progress in model.prepare(kept, owner="a"):
            pass
        assert cells_of(model)[0][0] == 0
        first = model.complete(asked, sampling=GREEDY)
    with opened(pair, **folder) as model:
        stats = model.complete(asked, sampling=free).stats
        assert stats.restored_tokens >= 256
        assert stats.completion_tokens > 1
        assert cells_of(model)[0][0] == stats.restored_tokens
        again = model.complete(asked, sampling=GREEDY)
    assert again.text == first.text
    assert again.stats.drafted == first.stats.drafted > 0


@pytest.mark.integration
def test_a_cancelled_answer_leaves_an_engine_that_answers(pair: Pair) -> None:
    with opened(pair) as model:
        events = model.stream(PROMPT, sampling=GREEDY.model_copy(update={"max_tokens": 200}))
        next(events)
        model.cancel()
        *_, last = events
        assert last.stats.finish_reason is FinishReason.CANCELLED
        assert answered(model).text == pair.text


@pytest.mark.integration
def test_a_head_that_was_freed_leaves_its_target_as_it_was(pair: Pair) -> None:
    with opened(pair) as model:
        assert answered(model).text == pair.text
        model._engine._draft_memory.release()
        context = model._engine._context
        assert context.listener is None
        result = answered(model)
        assert result.text == pair.text
        assert result.stats.draft_released


# ---- one context, without an answer around it ---------------------------------------------------


@pytest.fixture
def bench(pair: Pair) -> Iterator[tuple[Bench, Callable[[], EagleHead]]]:
    """A target in memory, and what makes a head that follows it."""
    made: list[EagleHead] = []
    with loaded(pair.target, None, draft_tokens=15) as opened_bench:

        def make() -> EagleHead:
            made.append(attached(opened_bench, pair.head))
            return made[-1]

        yield opened_bench, make
        for head in made:
            head.close()


def drafts_after(head: EagleHead, token: int, most: int = 8) -> tuple[int, ...]:
    head.observe([token])
    return head.propose(FREE, most).tokens


@pytest.mark.integration
def test_wrong_drafts_leave_nothing_behind(bench) -> None:
    """A text with rollbacks in between is drafted on as the same text without."""
    target, make = bench
    drafted = []
    for wrong in ((), (5, 6, 7)):
        target.context.clear()
        head = make()
        head.begin(TEXT, reproducible=False)
        target.context.compute(TEXT[:6])
        for token in TEXT[6:-1]:
            drafts_after(head, token)
            target.context.compute_with_drafts([token, *wrong])
            target.context.truncate(len(target.context.cells) - len(wrong))
        drafted.append(drafts_after(head, TEXT[-1]))
        assert [token for _, token in head._cells] == TEXT[1:]
        head.close()
    assert drafted[0] == drafted[1] != ()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("after", "with_cells"),
    [
        # Of the position before the cut, the hidden states are gone, and the next token is new.
        pytest.param([TEXT[10] + 1, 320, 321], [*range(9), 10, 11, 12], id="another token"),
        pytest.param([TEXT[10], 320], [*range(12)], id="the same token"),
    ],
)
def test_a_text_that_was_cut_goes_on(bench, after: list[int], with_cells: list[int]) -> None:
    target, make = bench
    head = make()
    head.begin(TEXT, reproducible=False)
    target.context.compute(TEXT)
    assert drafts_after(head, 300)
    target.context.compute_one(300)
    target.context.truncate(10)
    target.context.compute(after)
    assert drafts_after(head, 322)
    assert [position for position, _ in head._cells] == with_cells


@pytest.mark.integration
def test_a_text_longer_than_the_heads_cache_moves_its_window_on(bench) -> None:
    target, make = bench
    head = make()
    head.begin([], reproducible=False)
    text = (TEXT * 20)[:250]
    for at in range(0, 250, 10):
        target.context.compute(text[at : at + 10])
        assert drafts_after(head, (text + TEXT)[at + 10])
    assert len(head._cells) < 256 - 15
    assert head._cells[-1][0] == 249
    assert head._cells[0][0] > 50


@pytest.mark.integration
def test_a_failure_is_raised_by_the_next_draft_and_not_by_the_target(bench, monkeypatch) -> None:
    target, make = bench
    head = make()
    head.begin(TEXT, reproducible=False)

    def fails(*_given: object, **_named: object) -> None:
        raise EngineFailed(detail="broken")

    monkeypatch.setattr(head._context, "encode", fails)
    for _ in range(3):
        target.context.compute(TEXT)
    assert target.context.cells == TEXT * 3
    with pytest.raises(EngineFailed, match="broken"):
        drafts_after(head, 300)
    monkeypatch.undo()
    head.begin(TEXT, reproducible=False)
    target.context.compute(TEXT[:4])
    assert drafts_after(head, 300)


@pytest.mark.integration
def test_a_head_whose_numbers_mean_nothing_drafts_nothing(pair: Pair, tmp_path: Path) -> None:
    weights = head_weights(EMBEDDING, EMBEDDING, read_header(pair.target).vocabulary)
    weights["output.weight"] *= float("nan")
    options = {"layers": (0, 1, 1), "target_width": EMBEDDING}
    head = write_head(tmp_path / "head.gguf", pair.target, weights, **options)
    with loaded(pair.target, None, draft_tokens=15) as bench:
        follower = attached(bench, head)
        follower.begin(TEXT, reproducible=False)
        bench.context.compute(TEXT)
        assert drafts_after(follower, 300) == ()
        follower.close()


@pytest.mark.integration
def test_a_freed_head_gives_back_the_memory_of_the_features(bench) -> None:
    target, make = bench
    released: list[tuple[int, int]] = []
    target.context.release_memory = lambda *given: released.append(given)
    make().close()  # before anything was computed
    assert not released
    head = make()
    target.context.compute(TEXT)
    head.close()
    width_bytes = 4 * EMBEDDING
    assert {nbytes for _, nbytes in released} == {16 * width_bytes}
    assert len({address for address, _ in released}) == 2  # of two layers
    target.context.compute(TEXT)


# ---- what does not fit --------------------------------------------------------------------------


def refused(target: Path, head: Path) -> ModelRefused:
    """The refusal of a pair, which comes before native code opens a file."""
    accepted: list[object] = []
    with pytest.raises(ModelRefused) as caught:
        CPUInference(
            target, draft_model=head, memory_budget=ROOMY, on_accepted=accepted.append
        ).close()
    assert not accepted
    return caught.value


MISFITS = {
    "hidden size": ({"target_width": 32}, "hidden states of 32 values, and the model's have 64"),
    "width": ({"width": 48}, "no embedding, and the model's has 64 values a token, not 48"),
    "layer": ({"layers": (0, 1, 2)}, "what layer 2 gets, and the model's last layer is 1"),
}


@pytest.mark.parametrize("kind", MISFITS)
def test_a_head_for_another_shape_is_refused(tmp_path: Path, kind: str) -> None:
    changed, reason = MISFITS[kind]
    target = tiny_llama(tmp_path / "target.gguf")
    error = refused(target, make_head(tmp_path / "head.gguf", target, **changed))
    assert isinstance(error, DraftUnfit)
    assert reason in str(error)


def test_a_head_for_another_vocabulary_is_refused(tmp_path: Path) -> None:
    target, other = tiny_llama(tmp_path / "llama.gguf"), tiny_qwen3(tmp_path / "qwen3.gguf")
    error = refused(target, make_head(tmp_path / "head.gguf", other))
    assert isinstance(error, DraftUnfit)
    assert "tokens, and the model has" in str(error)


@pytest.mark.parametrize(
    "table", [[5, 5, 6], [0, 1, 100_000], [0, 1, -1]], ids=["offsets", "beyond", "negative"]
)
def test_a_table_that_names_no_tokens_is_refused(tmp_path: Path, table: list[int]) -> None:
    target = tiny_llama(tmp_path / "target.gguf")
    error = refused(target, make_head(tmp_path / "head.gguf", target, table=table))
    assert isinstance(error, ModelFileDamaged)


@pytest.mark.parametrize(
    "name",
    ["fc.weight", "output.weight", "blk.0.attn_norm_2.weight", "blk.0.attn_q.weight"],
)
@pytest.mark.parametrize("change", ["missing", "other shape", "other type"])
def test_a_head_whose_weights_are_not_as_it_says_is_refused(
    tmp_path: Path, name: str, change: str
) -> None:
    target = tiny_llama(tmp_path / "target.gguf")
    weights = head_weights(EMBEDDING, EMBEDDING, read_header(target).vocabulary)
    if change == "missing":
        del weights[name]
    elif change == "other shape":
        weights[name] = weights[name][:-1]
    else:
        kind = "float16" if name.endswith("norm_2.weight") else "int32"
        weights[name] = weights[name].astype(kind)
    options = {"layers": (0, 1, 1), "target_width": EMBEDDING}
    error = refused(target, write_head(tmp_path / "head.gguf", target, weights, **options))
    assert isinstance(error, ModelFileDamaged)


def test_a_head_is_no_model_to_chat_with(pair: Pair) -> None:
    with pytest.raises(ArchitectureUnknown):
        read_header(pair.head)
