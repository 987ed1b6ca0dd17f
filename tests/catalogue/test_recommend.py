"""Which model is recommended for which machine."""

from __future__ import annotations

import pytest

from deepseek_r1.catalogue.recommend import recommend


@pytest.mark.parametrize(
    ("machine_mib", "budget_mib", "model"),
    [
        (8192, 2048, "deepseek-r1-distill-qwen-1.5b"),
        (16384, 5200, "deepseek-r1-distill-qwen-7b"),
        (16384, 8192, "deepseek-r1-0528-qwen3-8b"),
        (32768, 16384, "deepseek-r1-distill-qwen-14b"),
    ],
)
def test_the_largest_model_that_fits(machine_mib: int, budget_mib: int, model: str) -> None:
    found = recommend(machine_mib, budget_mib)
    assert found is not None
    assert found.model.id == model
    assert found.bill.total_mib <= budget_mib


def test_more_room_is_spent_on_more_bits() -> None:
    tight, roomy = recommend(32768, 1400), recommend(32768, 2400)
    assert tight is not None
    assert roomy is not None
    assert tight.model == roomy.model
    assert (tight.file.quantisation, roomy.file.quantisation) == ("Q4_K_M", "Q8_0")


def test_a_smaller_model_at_four_bits_is_better_than_a_larger_one_at_three() -> None:
    found = recommend(32768, 4500)  # the 7B fits at three bits only
    assert found is not None
    assert found.model.id == "deepseek-r1-distill-qwen-1.5b"


def test_three_bits_are_better_than_nothing() -> None:
    found = recommend(32768, 1200)
    assert found is not None
    assert found.file.quantisation == "Q3_K_M"


def test_the_budget_does_not_outgrow_the_machine() -> None:
    assert recommend(2600, 100_000) == recommend(2600, int(2600 * 0.75))


def test_nothing_is_recommended_where_nothing_fits() -> None:
    assert recommend(8192, 600) is None
    assert recommend(700, 8192) is None
