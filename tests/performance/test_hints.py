"""Sentences and marks that say what a budget, the disk and the context mean."""

import pytest

from deepseek_r1.core.settings import KVType, LoadSettings
from performance.samples import a_bill
from r1desk.performance.hints import (
    format_budget_hint,
    format_context_hint,
    format_context_left,
    format_disk_hint,
)


def test_a_missing_amount_says_how_much_more_it_needs() -> None:
    assert format_budget_hint(a_bill(budget_mib=1000)) == "Needs 0.6 GB more."


def test_after_a_larger_budget_a_reload_makes_an_automatic_context_longer() -> None:
    bill = a_bill(budget_mib=6000).model_copy(update={"context_length": 4096})
    assert format_budget_hint(bill, trained=8192).endswith("a reload makes the context longer")
    for other, trained in ((bill, 4096), (bill, 0), (a_bill(budget_mib=6000), 8192)):
        assert format_budget_hint(other, trained) == "4.3 GB unused"


def test_a_switch_that_changes_nothing_says_so() -> None:
    assert "Not needed" in format_disk_hint(a_bill(), LoadSettings(swap_enabled=True))
    assert format_disk_hint(a_bill(), LoadSettings()) == ""


@pytest.mark.parametrize(("kind", "text"), [("f16", "full"), ("q8_0", "half"), ("q4_0", "quarter")])
def test_the_precision_is_named_in_words(kind: str, text: str) -> None:
    assert f"({text} precision)" in format_context_hint(
        a_bill(), LoadSettings(kv_type=KVType(kind))
    )


@pytest.mark.parametrize(
    ("used", "longest", "text"),
    [
        (0, 1000, "about 4 long answers left"),
        (2075, 1000, "about 2 long answers left"),
        (0, 2048, "about 2 long answers left"),
        (3900, 1000, "may not fit"),
    ],
)
def test_the_context_says_how_many_answers_fit(used: int, longest: int, text: str) -> None:
    assert text in format_context_left(used, 4096, longest)
