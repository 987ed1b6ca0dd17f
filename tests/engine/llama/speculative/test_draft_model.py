"""A draft model fits the target's vocabulary, stays in step with its text, and saves passes."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.errors import (
    ArchitectureUnknown,
    BudgetTooSmall,
    DraftMissing,
    DraftUnfit,
    ModelLoadFailed,
)
from deepseek_r1.core.events import BillItem, FinishReason
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.engine.interface import UNMAPPED, OpenRequest, VocabularyMap
from deepseek_r1.engine.llama.binding.kernels import supported_kernels
from deepseek_r1.engine.llama.binding.library import library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.engine.llama.speculative import drafting
from deepseek_r1.engine.llama.speculative.draft_model import DraftModel
from deepseek_r1.engine.llama.speculative.drafting import open_draft
from deepseek_r1.formats.container import read_container
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.memory.kernel_times import MEASURED_ROWS, KernelTimes, TypeTimes
from deepseek_r1.memory.load_plan import draft_header
from support.distribution import passes, streamed
from support.gguf_files import tiny_qwen2
from support.raw_gguf import STRING, RawGguf

GREEDY = SamplingSettings(temperature=0.0, max_tokens=24)
STORY = "Tell me a story about a fox."


@pytest.fixture(scope="module")
def pair(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CPUInference]:
    """The starter model, streamed, with itself as its draft model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("R1DESK_PROFILE", str(tmp_path_factory.mktemp("profile")))
        patch.setattr(drafting, "_LEAST_TOKENS", 10_000)  # it stays, however slow it is here
        with streamed(starter, 400, context_length=1024, draft_model=starter) as model:
            assert model.weights_stats is not None, "nothing is streamed under this budget"
            yield model


def answered(model, prompt, sampling=GREEDY):
    return model.complete(prompt, sampling=sampling)


def test_a_twin_saves_most_passes_and_is_paid_for_in_the_bill(pair: CPUInference) -> None:
    stats = answered(pair, STORY).stats
    assert stats.tokens_per_pass > 2
    assert stats.accepted <= stats.drafted
    assert stats.draft_s > 0
    lines = {line.name: line for line in pair.loaded.bill.lines}
    assert pair.loaded.bill.fits
    draft = lines[BillItem.DRAFT]
    assert draft.measured_mib is not None
    assert 0 < draft.measured_mib <= draft.planned_mib


@pytest.mark.slow
def test_a_drafted_answer_is_the_same_again(pair: CPUInference) -> None:
    """Also after other answers: its drafts depend on nothing but its own text."""
    first = answered(pair, STORY)
    again_at_once = answered(pair, STORY)
    answered(pair, "Count from one to thirty in words.", SamplingSettings(seed=1, max_tokens=40))
    later = answered(pair, STORY)
    assert first.text == again_at_once.text == later.text
    assert again_at_once.stats.drafted == later.stats.drafted > 0


def test_a_cancelled_draft_leaves_an_engine_that_answers(pair: CPUInference) -> None:
    events = pair.stream(STORY, sampling=GREEDY.model_copy(update={"max_tokens": 400}))
    next(events)
    pair.cancel()
    *_, last = events
    assert last.stats.finish_reason is FinishReason.CANCELLED
    assert answered(pair, STORY).stats.completion_tokens > 1


def test_a_budget_without_room_for_the_draft_model_is_refused(starter: Path) -> None:
    with pytest.raises(BudgetTooSmall):
        streamed(starter, 256, draft_model=starter)


def test_a_pair_of_two_families_is_refused_before_anything_is_loaded(starter, r1_shaped):
    accepted: list[bool] = []
    with pytest.raises(DraftUnfit):
        CPUInference(
            starter,
            draft_model=r1_shaped,
            memory_budget=2048,
            on_accepted=lambda _plan: accepted.append(True),
        )
    assert not accepted


def test_an_eagle_head_is_refused_as_a_draft_model(starter: Path, tmp_path: Path) -> None:
    head = RawGguf.parse(starter.read_bytes())
    head.set("general.architecture", STRING, b"eagle3").write(tmp_path / "head.gguf")
    with pytest.raises(ArchitectureUnknown, match="eagle3"):
        draft_header(LoadSettings(draft_model=str(tmp_path / "head.gguf")), read_header(starter))


def test_drafts_by_a_model_need_one(starter: Path) -> None:
    with pytest.raises(DraftMissing):
        CPUInference(starter, drafts="model", memory_budget=2048)


def test_a_draft_model_multiplies_as_was_measured_for_its_types(starter: Path) -> None:
    if not supported_kernels(library()):
        pytest.skip("llama.cpp computes all products")
    header = replace(read_header(starter), file_bytes=1 << 30)  # small ones are not measured
    tokens = read_container(starter).tokens
    vocabulary = VocabularyMap(tokens, tokens, target_name="a", draft_name="b")
    ours = TypeTimes(
        plain=dict.fromkeys(MEASURED_ROWS, 2.0), ours=dict.fromkeys(MEASURED_ROWS, 1.0)
    )
    request = OpenRequest(
        header,
        LoadSettings(context_length=256),
        1,
        lambda _fraction: True,
        draft=header,
        vocabulary=vocabulary,
        times=KernelTimes(types={"Q4_1": ours}),
    )
    draft = open_draft(library(), request, (2, 2))
    assert draft is not None
    with closing(draft):
        assert f"('Q4_1', {ours.our_rows})" in draft.context.kernels_name


@pytest.fixture
def twin(starter: Path) -> Iterator[Callable[[], DraftModel]]:
    """Makes draft models for a target with the starter's vocabulary, with 256 cells each."""
    tokens = read_container(starter).tokens
    vocabulary = VocabularyMap(tokens, tokens, target_name="a", draft_name="b")
    made: list[DraftModel] = []

    def make() -> DraftModel:
        model = LlamaModel(library(), (starter,), lambda _fraction: True)
        sizes = {"context_length": 256, "threads": (2, 2)}
        made.append(DraftModel(library(), model, vocabulary, kernel_rows={}, **sizes))
        return made[-1]

    yield make
    for draft in made:
        draft.close()


FREE = passes({1: 1e3})  # they outweigh any drafting
COUNTED = "one two three four five one two three four five one two three four five one two"


def test_an_edited_text_is_drafted_as_a_new_one(twin: Callable[[], DraftModel]) -> None:
    """Cells are cut back to what both texts share, and drafted tokens leave nothing behind."""
    used, new = twin(), twin()
    tokenize = used._model.tokenize
    text, edited = (
        tokenize(COUNTED.replace("one", first), special=False) for first in ("one", "zero")
    )
    used.begin(text, reproducible=False)
    assert used.propose(FREE, 8)
    used.observe(tokenize(" three", special=False))
    assert used.propose(FREE, 8)
    for changed in (edited, text[:-6], text):
        used.begin(changed, reproducible=False)
        new.begin(changed, reproducible=True)
        assert used.propose(FREE, 1).tokens == new.propose(FREE, 1).tokens != ()


@pytest.mark.slow
def test_a_text_longer_than_the_draft_models_cache_moves_its_window_on(twin):
    draft = twin()
    text = draft._model.tokenize(" ".join([COUNTED] * 60), special=False)
    draft.begin(text[:50], reproducible=True)
    drafted_at_all = 0
    for at in range(50, 450, 10):
        draft.observe(text[at : at + 10])
        drafted = draft.propose(FREE, 8)
        kept = next((n for n, token in enumerate(drafted.tokens) if token != text[at + 10 + n]), 8)
        draft.table.observe_draft(drafted.buckets, kept)
        drafted_at_all += kept
    assert drafted_at_all > 40  # more than one of each draft, also behind the window's end


def test_settings_name_the_draft_model_only_where_it_is_used() -> None:
    chosen = LoadSettings(draft_model="small.gguf")
    assert chosen.draft_path == "small.gguf"
    for mode in ("off", "lookup"):
        assert LoadSettings(draft_model="small.gguf", drafts=mode).draft_path == ""


@pytest.mark.integration
def test_a_draft_model_with_heads_that_q8_0_does_not_divide_drafts(tmp_path: Path) -> None:
    tiny = tiny_qwen2(tmp_path / "tiny.gguf")
    with CPUInference(tiny, draft_model=tiny, memory_budget=1000, context_length=512) as model:
        assert answered(model, STORY).stats.drafted > 0
    with pytest.raises(ModelLoadFailed, match=r"tiny\.gguf"):
        CPUInference(tiny, memory_budget=1000, context_length=512, kv_type="q8_0")


WORDS = [b"w%d" % number for number in range(100)]


def mapped(target: list[bytes], draft: list[bytes]) -> VocabularyMap:
    return VocabularyMap(target, draft, target_name="big", draft_name="small")


def test_a_token_is_found_by_its_text_whatever_its_id() -> None:
    """As Qwen2.5 and R1: the same words, other control tokens at the same ids."""
    found = mapped([*WORDS, b"<|User|>", b"<|end|>"], [*WORDS, b"<|end|>", b"<|im_start|>"])
    assert list(found.to_target[:100]) == list(range(100))
    assert found.to_target[100] == 101
    assert found.to_target[101] == UNMAPPED
    assert found.to_draft[101] == 100
    assert 0 <= found.to_draft[100] < 100  # a stand-in: the draft model has no such token


def test_padding_is_never_drafted() -> None:
    found = mapped([*WORDS, b"[PAD100]"], [*WORDS, b"[PAD100]", b"[PAD101]"])
    assert list(found.to_target[100:]) == [UNMAPPED, UNMAPPED]


def test_vocabularies_of_two_families_are_refused_by_name() -> None:
    others = [b"x%d" % number for number in range(100)]
    with pytest.raises(DraftUnfit, match="small cannot draft for big") as refused:
        mapped(WORDS, others)
    assert "0%" in str(refused.value)
    shuffled = [*WORDS[50:], *WORDS[:50]]  # the same texts with other ids: cut in another way
    with pytest.raises(DraftUnfit):
        mapped(WORDS, shuffled)
