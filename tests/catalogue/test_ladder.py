"""Which of a model's files are named: to read along with, and for the best answers."""

from __future__ import annotations

import pytest

from deepseek_r1.catalogue.download_spec import find_known
from deepseek_r1.catalogue.known_models import draft_of
from deepseek_r1.catalogue.ladder import Rung, best_answers, best_to_read, ladder_text, loss_of
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.memory.forecast import Fit, MachineSpeed, estimate_fit
from deepseek_r1.memory.other_models import draft_mib


def ladder(model: str, budget_mib: int, disk_mib_s: float) -> list[Rung]:
    """The files of a model of the catalogue on a computer with four threads."""
    known, _ = find_known(model)
    settings = LoadSettings(memory_budget=budget_mib)
    speed = MachineSpeed(memory_mib_s=30_000, disk_mib_s=disk_mib_s, threads=4)
    draft = draft_of(known)
    drafts_mib = draft_mib(draft.header, settings) if draft is not None else 0.0
    return [
        Rung(
            file.quantisation,
            estimate_fit(known.header(file), settings, speed, 0.0, draft_mib=drafts_mib),
        )
        for file in known.files
    ]


@pytest.mark.parametrize(
    ("budget_mib", "disk_mib_s", "to_read", "answers"),
    [
        (2048, 500, "Q3_K_M", "Q5_K_M"),
        (2048, 2300, "Q3_K_M", "Q8_0"),
        (4096, 2300, "Q3_K_M", "Q8_0"),
        (8192, 500, "Q4_K_M", "Q8_0"),
    ],
)
def test_the_fastest_or_the_best_that_keeps_up_and_the_least_loss_that_runs(
    budget_mib: int, disk_mib_s: float, to_read: str, answers: str
) -> None:
    rungs = ladder("deepseek-r1-distill-qwen-7b", budget_mib, disk_mib_s)
    assert (best_to_read(rungs).quantisation, best_answers(rungs).quantisation) == (
        to_read, answers,
    )  # fmt: skip
    text = ladder_text(rungs)
    assert text.index(to_read) <= text.index(answers)
    assert ("None writes as fast as one reads" in text) == (
        best_to_read(rungs).forecast.best_tok_s < 5
    )


def test_one_file_can_be_both() -> None:
    text = ladder_text(ladder("deepseek-r1-distill-qwen-1.5b", 8192, 500))
    assert text.startswith("Q8_0 is the most exact that runs here and writes as fast as one reads")
    assert text.endswith("tok/s from memory, perplexity +0.04 %.")


def test_a_draft_model_counts_where_the_model_runs_from_the_disk_and_never_in_memory() -> None:
    streamed, *_ = ladder("deepseek-r1-distill-qwen-7b", 2048, 2300)
    assert streamed.forecast.drafted_tok_s > 1.2 * streamed.forecast.tok_s
    assert f"({streamed.forecast.tok_s:.1f} without)" in streamed.text
    in_memory, *_ = ladder("deepseek-r1-distill-qwen-7b", 8192, 2300)
    assert in_memory.forecast.fit is Fit.IN_MEMORY
    assert not in_memory.forecast.drafted_tok_s


def test_a_type_that_takes_long_to_compute_is_no_faster_for_its_fewer_bytes() -> None:
    known, file = find_known("deepseek-r1-distill-qwen-7b/Q3_K_M")
    fewer = file.model_copy(update={"quantisation": "IQ3_XXS", "size_bytes": 3_256_000_000})
    speed = MachineSpeed(memory_mib_s=60_000, disk_mib_s=2_000, threads=2)
    tok_s = [
        estimate_fit(known.header(each), LoadSettings(memory_budget=8192), speed, 0.0).tok_s
        for each in (file, fewer)
    ]
    assert tok_s[1] < 0.7 * tok_s[0], "tables of a grid are looked up value by value"


def test_nothing_is_said_without_speeds_or_without_a_choice() -> None:
    assert not ladder_text(ladder("deepseek-r1-distill-qwen-14b", 300, 2300)), "none runs"
    assert not ladder_text(ladder("qwen3.5-4b", 4096, 2300)), "it has one file"
    unknown = estimate_fit(
        find_known("deepseek-r1-distill-qwen-1.5b")[0].header(
            find_known("deepseek-r1-distill-qwen-1.5b")[1]
        ),
        LoadSettings(),
        MachineSpeed(),
        0.0,
    )
    assert not ladder_text([Rung("Q4_K_M", unknown), Rung("Q8_0", unknown)])


def test_a_file_with_an_importance_matrix_has_the_loss_of_its_type() -> None:
    assert loss_of("UD-Q4_K_M") == loss_of("q4_k_m") == 2.8
    assert loss_of("Q1_0") is None
