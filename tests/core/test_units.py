"""Amounts of memory as people read them."""

import pytest

from deepseek_r1.core.errors import BudgetTooSmall, ModelFileTruncated
from deepseek_r1.core.units import format_mib, format_part, format_size, use_gigabytes


@pytest.mark.parametrize(
    ("mib", "text"), [(0, "0 MB"), (34.4, "34 MB"), (567, "0.6 GB"), (11_520, "11.2 GB")]
)
def test_memory_is_in_gb_with_one_digit_unless_that_would_be_nothing(mib, text):
    assert format_mib(mib) == text


def test_an_amount_that_is_needed_is_rounded_up_so_that_it_is_enough():
    assert format_mib(1384, up=True) == "1.4 GB"
    assert format_mib(1434, up=True) == "1.5 GB"
    assert format_mib(34.1, up=True) == "35 MB"


def test_parts_and_files_have_the_same_unit():
    assert format_part(290, 11_520) == "0.3 / 11.2 GB"
    assert format_size(4_683_073_248) == "4.4 GB"


def test_a_refusal_is_in_gb_in_the_window_and_in_mib_where_options_are():
    refused = BudgetTooSmall(
        model="R1 7B",
        needed_mib=1384,
        budget_mib=512,
        weights_mib=900,
        kv_mib=400,
        rest_mib=84,
        advice="",
    )
    assert "R1 7B needs 1,384 MiB and the memory budget is 512 MiB" in str(refused)
    use_gigabytes(True)
    assert "needs 1.4 GB and the memory budget is 0.5 GB" in str(refused)


def test_a_file_that_is_too_short_is_described_in_mb():
    """A download of 491 MB that was cut off was said to need "at least 3,196,837 bytes"."""
    use_gigabytes(True)
    cut = ModelFileTruncated(path="q.gguf", needed_bytes=3_196_837, actual_bytes=3_000_000)
    assert "It needs at least 4 MB and has 2 MB." in str(cut)
    nearly = ModelFileTruncated(path="q.gguf", needed_bytes=491 << 20, actual_bytes=(491 << 20) - 7)
    assert "at least 491 MB and has 490 MB" in str(nearly)
