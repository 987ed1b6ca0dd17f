"""Which file of a model is recommended here, which model is the best for you, and what is said."""

import pytest

from deepseek_r1.catalogue import forecaster
from deepseek_r1.catalogue.download_spec import find_known
from deepseek_r1.catalogue.forecaster import Forecaster
from deepseek_r1.catalogue.header_process import HeaderProcess
from deepseek_r1.catalogue.known_models import known_models
from deepseek_r1.catalogue.model_file import ModelFile, known_files
from deepseek_r1.catalogue.recommendation import (
    best_for_you,
    choice_for,
    is_good,
    ladder_of,
    ladder_text,
    loss_of,
    one_of_each,
    recommended,
    speed_and_loss,
)
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.hardware.pressure import MemoryReading
from deepseek_r1.memory.forecast import Fit, MachineSpeed, estimate_fit

UNKNOWN = MachineSpeed(threads=2)


pytestmark = pytest.mark.usefixtures("without_amx")


@pytest.fixture
def files(monkeypatch):
    """All files of the catalogue with their forecasts, by budget and speed of the computer."""

    def forecast(budget_mib: int, speed: MachineSpeed) -> tuple[ModelFile, ...]:
        monkeypatch.setattr(forecaster, "known_speed", lambda: speed)
        monkeypatch.setattr(forecaster, "memory_reading", lambda: MemoryReading(9e4, 0.0))
        settings = LoadSettings(memory_budget=budget_mib)
        return Forecaster(settings, HeaderProcess()).add_to(known_files())

    return forecast


@pytest.fixture
def ladder(files):
    """The files of a model on a computer with four threads."""

    def of(name: str, budget_mib: int, disk_mib_s: float = 2300) -> list[ModelFile]:
        speed = MachineSpeed(memory_mib_s=30_000, disk_mib_s=disk_mib_s, threads=4)
        return ladder_of(files(budget_mib, speed), find_known(name)[0])

    return of


@pytest.mark.parametrize(
    ("budget_mib", "disk_mib_s", "chosen", "exact"),
    [
        (2048, 850, "Q4_K_M", "Q5_K_M"),  # from the disk: the fastest with enough bits
        (2048, 2300, "Q4_K_M", "Q8_0"),
        (12_000, 2300, "Q4_K_M", "Q8_0"),  # from memory: the others write slower than one reads
    ],
)
def test_one_file_is_recommended_and_the_most_exact_that_runs_is_named_beside_it(
    ladder, budget_mib, disk_mib_s, chosen, exact
):
    seven = ladder("deepseek-r1-distill-qwen-7b", budget_mib, disk_mib_s)
    assert recommended(seven).quantisation == chosen
    text = ladder_text(seven)
    assert f"Recommended: {chosen} (" in text
    assert text.startswith("All are slower than reading. ") is (budget_mib == 2048)
    assert f"Best that runs here: {exact} (" in text


def test_one_file_can_be_both(ladder):
    text = ladder_text(ladder("deepseek-r1-distill-qwen-1.5b", 8192))
    assert text.startswith("Recommended: Q8_0 (")
    assert text.endswith("tok/s from memory, quality loss 0.04 %).")


@pytest.mark.parametrize("budget_mib", [1024, 2048, 4096, 8192, 16_384, 24_000])
@pytest.mark.parametrize(("memory_mib_s", "threads"), [(12_000, 2), (60_000, 8)])
def test_the_best_for_you_is_what_the_list_and_the_sentence_recommend(
    files, budget_mib, memory_mib_s, threads
):
    speed = MachineSpeed(memory_mib_s=memory_mib_s, disk_mib_s=2300, threads=threads)
    found = files(budget_mib, speed)
    listed, best = one_of_each(found, budget_mib), best_for_you(found)
    assert {file.known.id for file in listed} == {model.id for model in known_models()}
    assert best is None or listed[0] is best
    for file in listed:
        text = ladder_text(ladder_of(found, file.known))
        assert not text or f"Recommended: {file.quantisation} ({speed_and_loss(file)})" in text


@pytest.mark.parametrize(
    ("budget_mib", "name"),
    [
        (600, None),
        (1700, "Distill-Qwen-1.5B Q5_K_M"),
        (2048, "Distill-Qwen-1.5B Q6_K"),
        (2500, "Distill-Qwen-1.5B Q8_0"),  # more memory is spent on more bits
        (5000, "Distill-Qwen-1.5B Q8_0"),  # the 7B would have three bits, or a context of 2,048
        (5400, "Distill-Qwen-7B Q4_K_M"),
        (8192, "0528-Qwen3-8B Q6_K"),
        (16_384, "0528-Qwen3-8B Q6_K"),  # the 14B would be slower than one waits for
    ],
)
def test_the_best_for_you_is_the_largest_that_runs_from_memory_and_is_quick(
    files, budget_mib, name
):
    best = best_for_you(files(budget_mib, MachineSpeed(memory_mib_s=60_000, threads=2)))
    assert (best.title.removeprefix("DeepSeek-R1-") if best is not None else None) == name


@pytest.mark.parametrize(
    ("budget_mib", "first", "others"),
    [
        (1024, [], ["Ling-3.0-tiny"]),
        (2048, ["Qwen3.5-2B", "VibeThinker-1.5B"], ["Bonsai-8B"]),
        (4096, ["Qwen3.5-4B"], ["DeepSeek-R1-0528-Qwen3-8B", "Ternary-Bonsai-8B"]),
        (8192, ["Qwen3.5-9B", "DeepSeek-R1-0528-Qwen3-8B"], ["gpt-oss-20b"]),
    ],
)
def test_each_budget_has_models_of_its_own_and_those_in_front_run_from_memory(
    files, budget_mib, first, others
):
    choice = choice_for(budget_mib)
    listed = one_of_each(files(budget_mib, UNKNOWN), budget_mib)
    front = [file for file in listed if is_good(file, budget_mib)]
    in_memory = [each.known.name for each in front if each.forecast.fit is Fit.IN_MEMORY]
    assert sorted(in_memory) == sorted(first)
    behind = {*choice.also, *choice.experimental}
    assert {each.known.name for each in listed if each.known.id in behind} >= set(others)


def test_a_draft_model_is_forecast_for_a_model_from_the_disk_and_counts_once_it_is_here(ladder):
    streamed, *_ = ladder("deepseek-r1-distill-qwen-7b", 2048)
    assert streamed.forecast.drafted_tok_s > 1.2 * streamed.forecast.tok_s
    assert f"{streamed.forecast.tok_s:.1f} tok/s from the disk" in speed_and_loss(streamed)
    in_memory, *_ = ladder("deepseek-r1-distill-qwen-7b", 8192)
    assert in_memory.forecast.fit is Fit.IN_MEMORY
    assert not in_memory.forecast.drafted_tok_s


def test_a_type_that_takes_long_to_compute_is_no_faster_for_its_fewer_bytes():
    known, file = find_known("deepseek-r1-distill-qwen-7b/Q3_K_M")
    fewer = file.model_copy(update={"quantisation": "IQ3_XXS", "size_bytes": 3_256_000_000})
    speed = MachineSpeed(memory_mib_s=60_000, disk_mib_s=2_000, threads=2)
    tok_s = [
        estimate_fit(known.header(each), LoadSettings(memory_budget=8192), speed, 0.0).tok_s
        for each in (file, fewer)
    ]
    assert tok_s[1] < 0.7 * tok_s[0], "tables of a grid are looked up value by value"


def test_nothing_is_said_without_speeds_or_without_a_choice(ladder, files):
    assert not ladder_text(ladder("deepseek-r1-distill-qwen-14b", 300)), "none runs"
    assert not ladder_text(ladder("qwen3.5-4b", 4096)), "it has one file"
    small = find_known("deepseek-r1-distill-qwen-1.5b")[0]
    assert not ladder_text(ladder_of(files(2048, UNKNOWN), small))


def test_a_file_with_an_importance_matrix_has_the_loss_of_its_type():
    assert loss_of("UD-Q4_K_M") == loss_of("q4_k_m") == 2.8
    assert loss_of("Q1_0") is None
