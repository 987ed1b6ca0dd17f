"""What is chosen by the times of kernels: values, no measuring."""

from dataclasses import replace
from pathlib import Path

import pytest

from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.formats.gguf import ModelHeader, TensorInfo
from deepseek_r1.memory.kernel_times import (
    MEASURED_ROWS,
    KernelTimes,
    TypeTimes,
    keep_times,
    kept_times,
)
from deepseek_r1.memory.plan import ProcessOverhead, plan
from memory.headers import header

MIB = 1 << 20
SIDE = 16384  # of a matrix; a block of Q4_K has 256 values in 144 bytes


def times(plain: float, ours: dict[int, float], repacked: float) -> TypeTimes:
    """The same number for all rows but those of ours."""
    every = dict.fromkeys(MEASURED_ROWS, plain)
    return TypeTimes(
        plain=every,
        ours=every | ours if ours else {},
        repacked=dict.fromkeys(MEASURED_ROWS, repacked) if repacked else {},
    )


def large_model() -> ModelHeader:
    """A header with matrices of 288 MiB in Q4_K."""
    nbytes = SIDE * SIDE // 256 * 144
    matrices = tuple(
        TensorInfo(f"blk.{i}.ffn_up.weight", (SIDE, SIDE), "Q4_K", nbytes) for i in range(2)
    )
    return replace(header(), tensors=matrices, file_bytes=2 * nbytes)


def test_ours_compute_the_rows_for_which_they_are_faster() -> None:
    slower = dict.fromkeys(MEASURED_ROWS, 15.0)
    found = times(10.0, slower | {2: 8.0, 4: 5.0, 8: 4.0, 12: 5.0, 16: 9.0}, 0)
    assert found.our_rows == (2, 16)


def test_more_rows_than_were_measured_are_as_the_most_measured() -> None:
    least, most = times(10.0, dict.fromkeys(MEASURED_ROWS, 5.0), 0).our_rows
    assert least == 1
    assert most > 10 * MEASURED_ROWS[-1]


def test_times_for_other_numbers_of_rows_are_not_used() -> None:
    older = {rows: 10.0 for rows in MEASURED_ROWS if rows <= 64}
    keep_times(KernelTimes.model_construct(types={"Q4_K": TypeTimes.model_construct(plain=older)}))
    assert kept_times() == KernelTimes()


def test_one_disturbed_measurement_does_not_end_the_range() -> None:
    fast = dict.fromkeys(MEASURED_ROWS, 5.0)
    assert times(10.0, fast | {4: 13.0, 64: 30.0}, 0).our_rows == (1, 32)


def test_a_type_that_ours_lack_is_left_to_llama_cpp() -> None:
    least, most = times(10.0, {}, 0).our_rows
    assert least > most


@pytest.mark.parametrize(("repacked", "is_repacked"), [(5.0, True), (15.0, False)])
def test_the_layout_is_the_one_in_which_a_turn_takes_less_time(repacked, is_repacked):
    chosen = KernelTimes(types={"Q4_K": times(10.0, {}, repacked)})
    assert chosen.repacks(large_model()) is is_repacked


def test_fast_writing_outweighs_slower_reading() -> None:
    ours = {rows: 6.0 for rows in MEASURED_ROWS if rows <= 8}
    slow = {64: 100.0}
    found = TypeTimes(
        plain=dict.fromkeys(MEASURED_ROWS, 10.0) | slow,
        ours=dict.fromkeys(MEASURED_ROWS, 20.0) | ours | slow,
        repacked=dict.fromkeys(MEASURED_ROWS, 10.0) | {64: 80.0},
    )
    assert not KernelTimes(types={"Q4_K": found}).repacks(large_model())


@pytest.mark.parametrize(
    "chosen", [KernelTimes(), KernelTimes(types={"Q6_K": times(10.0, {}, 15.0)})]
)
def test_what_was_not_measured_is_repacked_as_llama_cpp_does(chosen: KernelTimes) -> None:
    assert chosen.repacks(large_model())


def test_a_small_model_has_the_fixed_choice() -> None:
    """Or its answers would change when a larger one is loaded for the first time."""
    chosen = KernelTimes(types={"Q4_K": times(10.0, {1: 1.0}, 15.0)})
    small = replace(large_model(), file_bytes=90 * MIB)
    assert chosen.repacks(small)
    assert not chosen.rows(small)


def test_the_bill_follows_the_layout_on_a_processor_with_amx() -> None:
    model = large_model()
    by_layout = {
        repacked: plan(
            model,
            LoadSettings(context_length=512),
            ProcessOverhead(
                packs=True,
                times=KernelTimes(types={"Q4_K": times(10.0, {}, 5.0 if repacked else 15.0)}),
            ),
        ).bill.lines[0].planned_mib
        for repacked in (True, False)
    }  # fmt: skip
    assert by_layout[False] == 288
    assert by_layout[True] == 288 + 2 * SIDE * SIDE // 256 * 4 / MIB


def test_the_choice_is_read_from_the_profile() -> None:
    made = KernelTimes(build="one", types={"Q4_K": times(10.0, {1: 5.0}, 15.0)})
    assert keep_times(made) == made == kept_times() == ProcessOverhead().times


def test_without_a_profile_the_choice_is_the_fixed_one_each_time(own_profile: Path) -> None:
    own_profile.write_text("no folder")
    assert keep_times(KernelTimes(build="one")) == KernelTimes() == kept_times()
