"""Several models answer the same questions inside one budget, in the library and by command."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil
import pytest

import deepseek_r1
from deepseek_r1 import Candidate, CandidateEvent, CandidateFailed, ComparisonPlanned
from deepseek_r1.core.events import AnswerDelta, Event, FinishReason, ModelLoaded
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.engine.output.generation_output import ResultCollector
from deepseek_r1.host.comparison import Comparison, ComparisonEvent, plan
from support.command import run_here

pytestmark = pytest.mark.integration

SMALL = LoadSettings(context_length=512, micro_batch=64)
ROOMY = LoadSettings(context_length=2048, micro_batch=64)
SHORT = SamplingSettings(temperature=0.0, max_tokens=12)
# Random tokens without an end among them: it lasts for seconds, unless it is stopped.
LONG = SamplingSettings(
    temperature=5.0,
    top_p=1.0,
    max_tokens=1500,
    logit_bias={0: -100.0, 2: -100.0},
    end_repetition=False,
)
STORY = [Message(role=Role.USER, content="Write a very long story about a whale.")]


def answers(events: Iterable[ComparisonEvent]) -> dict[tuple[int, int], ResultCollector]:
    found: dict[tuple[int, int], ResultCollector] = {}
    for each in events:
        if isinstance(each, CandidateEvent):
            key = each.candidate, each.question
            found.setdefault(key, ResultCollector()).add(each.event)
    return found


def failures(events: Iterable[ComparisonEvent]) -> list[tuple[int, int, str]]:
    failed = [each for each in events if isinstance(each, CandidateFailed)]
    return [(each.candidate, each.question, each.report.code) for each in failed]


def acting(comparison, when, act):
    """All events; `act` is called with the first `when` of the first candidate."""
    seen: list[ComparisonEvent] = []
    acted = False
    for each in comparison.events():
        seen.append(each)
        of_first = isinstance(each, CandidateEvent) and each.candidate == 0
        if not acted and of_first and isinstance(each.event, when):
            acted = True
            act(each)
    return seen


@pytest.fixture(scope="module")
def alone(shallow_starter: Path) -> list[str]:
    with deepseek_r1.CPUInference(shallow_starter, settings=SMALL) as model:
        return [model.generate(text, sampling=SHORT) for text in ("Name a colour.", "Say hello.")]


@pytest.mark.parametrize(("budget", "together"), [(900, True), (270, False)])
def test_each_answer_is_the_one_of_the_model_alone_together_or_one_after_the_other(
    shallow_starter: Path, alone: list[str], budget: int, together: bool
) -> None:
    models = [
        Candidate(shallow_starter, SMALL, SHORT),
        Candidate(str(shallow_starter), SMALL, SHORT),
    ]
    questions = ["Name a colour.", "Say hello."]
    seen = list(deepseek_r1.compare(questions, models, memory_budget=budget, window_mib=80))
    assert isinstance(seen[0], ComparisonPlanned)
    assert seen[0].together is together
    texts = {key: each.text for key, each in answers(seen).items() if each.text}
    assert texts == {(model, n): alone[n] for model in (0, 1) for n in (0, 1)}
    loaded = [each for each in seen if isinstance(getattr(each, "event", None), ModelLoaded)]
    assert [each.event.bill.total_mib for each in loaded] == [b.total_mib for b in seen[0].bills]
    assert seen[0].together_mib <= budget or not together


def test_what_one_model_cannot_do_the_others_do(shallow_starter: Path, tmp_path: Path) -> None:
    models = [tmp_path / "gone.gguf", Candidate(shallow_starter, SMALL, SHORT)]
    seen = list(deepseek_r1.compare("Name a colour.", models, memory_budget=600, window_mib=80))
    assert failures(seen) == [(0, 0, "ModelFileMissing")]
    assert answers(seen)[1, 0].text


def test_an_engine_that_dies_leaves_its_text_and_the_answers_of_the_others(shallow_starter):
    models = [Candidate(shallow_starter, ROOMY, LONG), Candidate(shallow_starter, SMALL, SHORT)]
    comparison = Comparison([STORY], models, plan(models, 300, 80))

    def kill(_event: CandidateEvent) -> None:
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it ended with its parent
                process.kill()

    seen = acting(comparison, AnswerDelta, kill)
    (failed,) = failures(seen)
    assert failed[:2] == (0, 0)
    assert answers(seen)[0, 0].text
    assert answers(seen)[1, 0].text


def test_a_stopped_model_stops_alone(shallow_starter: Path) -> None:
    models = [Candidate(shallow_starter, ROOMY, LONG), Candidate(shallow_starter, SMALL, SHORT)]
    comparison = Comparison([STORY], models, plan(models, 900, 80))
    seen = acting(comparison, AnswerDelta, lambda _first: comparison.cancel(0))
    reasons = {key: each.result().stats.finish_reason for key, each in answers(seen).items()}
    assert reasons == {(0, 0): FinishReason.CANCELLED, (1, 0): FinishReason.LENGTH}
    assert failures(seen) == []


def test_a_budget_that_is_lowered_ends_what_does_not_fit_any_more(shallow_starter: Path) -> None:
    models = [Candidate(shallow_starter, ROOMY, LONG), Candidate(shallow_starter, ROOMY, LONG)]
    comparison = Comparison([STORY], models, plan(models, 900, 80))
    seen, writing = list[ComparisonEvent](), set[int]()
    for each in comparison.events():
        seen.append(each)
        if isinstance(each, CandidateEvent) and isinstance(each.event, AnswerDelta):
            writing.add(each.candidate)
            if failures(seen) and each.candidate == 0:  # it goes on
                comparison.cancel(0)
            elif writing == {0, 1}:
                comparison.set_budget(270)
    assert failures(seen) == [(1, 0, "BudgetTooSmall")]
    assert answers(seen)[0, 0].result().stats.finish_reason is FinishReason.CANCELLED


class NotedEngine:
    """Loads at once and answers nothing; notes the most that are open."""

    most_open = 0
    during: Callable[[], None] = staticmethod(lambda: None)
    _open = 0

    def __init__(self, **_options: object) -> None:
        self.heartbeat = None

    def __enter__(self) -> Self:
        NotedEngine._open += 1
        NotedEngine.most_open = max(NotedEngine.most_open, NotedEngine._open)
        return self

    def __exit__(self, *_error: object) -> None:
        NotedEngine._open -= 1

    def load(self, *_what: object, **_options: object) -> None:
        time.sleep(0.2)

    def generate(self, *_what: object) -> Iterator[Event]:
        NotedEngine.during()
        yield from ()

    def cancel(self) -> None:
        pass


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> type[NotedEngine]:
    monkeypatch.setattr("deepseek_r1.host.comparison.EngineClient", NotedEngine)
    monkeypatch.setattr(NotedEngine, "most_open", 0)
    return NotedEngine


@pytest.mark.parametrize("changed", ["the budget", "the caller's memory", "nothing"])
def test_models_that_do_not_fit_together_any_more_run_one_after_the_other(
    shallow_starter: Path, noted: type[NotedEngine], changed: str
) -> None:
    models = [Candidate(shallow_starter, SMALL), Candidate(shallow_starter, SMALL)]
    comparison = Comparison([STORY], models, planned := plan(models, 900, 80))
    assert planned.together
    if changed == "the budget":
        comparison.set_budget(int(planned.together_mib) - 1)
    elif changed == "the caller's memory":
        comparison.window_mib += 900 - planned.together_mib + 1
    assert failures(list(comparison.events())) == []
    assert noted.most_open == (2 if changed == "nothing" else 1)


def test_the_budget_that_there_is_ends_nothing_though_the_caller_has_grown(
    shallow_starter: Path, noted: type[NotedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    models = [Candidate(shallow_starter, SMALL), Candidate(shallow_starter, SMALL)]
    needed = int(plan(models[:1], 900, 80).together_mib) + 1
    comparison = Comparison([STORY], models, plan(models, needed, 80))
    comparison.window_mib += 5
    monkeypatch.setattr(noted, "during", lambda: comparison.set_budget(needed))
    assert failures(list(comparison.events())) == []


def test_the_command_checks_answers_and_prints_what_generate_prints(starter, tmp_path):
    asked = "What is the capital of France?"
    options = ("--max-tokens", "12", "--temperature", "0", "--context-length", "512")
    alone = run_here("generate", asked, "--json", "--model", starter, *options)
    questions = tmp_path / "questions.txt"
    *_, expected = json.loads(alone.stdout)["text"].strip().splitlines()
    questions.write_text(f"{asked}\t{expected}\nName a colour.\tmauve 12\n")
    done = run_here(
        *("compare", "--json", "--file", questions, "--model", starter, "--model", "gone.gguf"),
        *options,
    )
    assert done.returncode == 3, done.stderr
    first, second, missing, _ = json.loads(done.stdout)["answers"]
    assert first["right"], first
    assert not second["right"]
    assert first["timings"]["decode_tok_s"] > 0
    assert "gone.gguf" in missing["error"]


def test_a_profile_that_takes_no_conversion_is_named(starter: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    profile = tmp_path / "file" / "profile"
    done = run_here(
        "compare", "Hi", "-m", starter, "--precision", "q4_0", R1DESK_PROFILE=str(profile)
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert f"{profile / 'converted'} cannot be written." in done.stderr


def test_a_model_that_is_not_there_is_not_converted() -> None:
    done = run_here("compare", "Hi", "-m", "gone.gguf", "--precision", "q4_0")
    assert (done.returncode, done.stdout) == (3, "")
    assert "gone.gguf does not exist" in done.stderr
