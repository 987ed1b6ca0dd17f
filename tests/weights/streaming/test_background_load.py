"""Weights in memory at their offsets in the file, also those that are read in the background."""

import ctypes
import os
import random
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from deepseek_r1.core.errors import LoadStopped
from deepseek_r1.hardware.read_speed import READ_BYTES
from deepseek_r1.hardware.storage import PAGE
from deepseek_r1.weights.background_load import BackgroundLoad
from deepseek_r1.weights.direct_file import WeightFile, WeightsUnreadableError
from deepseek_r1.weights.resident_memory import (
    ResidentMemory,
    TemporaryReads,
    coalesced_reads,
)
from deepseek_r1.weights.weight import Weight
from support.patience import wait_until

MIB = 1 << 20
WEIGHTS = [Weight(f"weight {n}", 0, n * 3 * MIB + 32, 3 * MIB) for n in range(4)]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[WeightFile]:
    path = tmp_path / "weights.bin"
    path.write_bytes(random.Random(3).randbytes(13 * MIB))
    opened = WeightFile(path)
    yield opened
    opened.close()


@pytest.fixture
def resident(file: WeightFile) -> Iterator[ResidentMemory]:
    made = ResidentMemory([file])
    yield made
    made.close()


def holds(resident: ResidentMemory, weight: Weight, file: WeightFile) -> bool:
    expected = file.path.read_bytes()[weight.offset : weight.offset + weight.nbytes]
    return ctypes.string_at(resident.address(weight), weight.nbytes) == expected


MakeLoad = Callable[..., BackgroundLoad]


@pytest.fixture
def make_load(resident: ResidentMemory) -> Iterator[MakeLoad]:
    made: list[BackgroundLoad] = []

    def make(*groups: Sequence[Weight]) -> BackgroundLoad:
        made.append(BackgroundLoad(resident, *groups))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def test_a_weight_is_resident_after_the_wait_for_it(file, resident, make_load):
    load = make_load(WEIGHTS[2:3], WEIGHTS[:2], WEIGHTS[3:])
    for weight in (WEIGHTS[3], WEIGHTS[0], WEIGHTS[2], WEIGHTS[1]):
        load.wait_for(weight)
        assert holds(resident, weight, file)
    assert load.first == {WEIGHTS[2]}
    assert load.done


def test_waiting_for_several_weights_reports_the_progress(file, resident, make_load):
    fractions: list[float] = []
    make_load(WEIGHTS).wait_for_all(
        WEIGHTS[1:], lambda fraction: fractions.append(fraction) is None
    )
    for weight in WEIGHTS[1:]:
        assert holds(resident, weight, file)
    assert fractions[-1] == 1.0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere bytes may stay for a while")
def test_weights_that_the_model_does_not_use_are_released(file, resident, make_load):
    load = make_load(WEIGHTS)
    load.wait_for_all(WEIGHTS, lambda _fraction: True)
    load.release(WEIGHTS[:1])
    assert not holds(resident, WEIGHTS[0], file)


def test_a_load_waits_for_the_first_weights_and_for_viewed_ones(file, resident, make_load):
    first, later, viewed, unused = WEIGHTS
    load = make_load([first], [later, viewed, unused])
    pending = load.finish([first, later, viewed], [viewed], lambda _fraction: True)
    assert pending == {later}
    assert holds(resident, first, file)
    assert holds(resident, viewed, file)
    load.wait_for(later)
    assert holds(resident, later, file)
    assert not load.pending


def test_a_weight_of_two_groups_is_ready_with_the_first(file, resident, make_load):
    large, small = Weight("large", 0, 0, 2 * MIB), Weight("small", 0, 2 * MIB, 5_000)
    next_one = Weight("next", 0, 2 * MIB + 5_024, 2 * MIB)
    load = make_load([small], [large, next_one, small])
    assert load.first == {small}
    for weight in (small, large, next_one):
        load.wait_for(weight)
        assert holds(resident, weight, file)


def test_a_stopped_load_reads_no_more(resident: ResidentMemory) -> None:
    before = threading.active_count()
    load = BackgroundLoad(resident, WEIGHTS)
    with pytest.raises(LoadStopped):
        load.wait_for_all(WEIGHTS, lambda _fraction: False)
    load.stop()
    wait_until(lambda: threading.active_count() <= before)


def test_the_wait_for_a_weight_of_a_cut_file_raises(file, resident):
    os.truncate(file.path, 5 * MIB)
    load = BackgroundLoad(resident, WEIGHTS)
    with pytest.raises(WeightsUnreadableError, match="shorter"):
        load.wait_for(WEIGHTS[3])
    load.stop()


def test_neighbours_are_read_together() -> None:
    reads = list(coalesced_reads([(0, 100, 200), (0, PAGE + 5, PAGE + 9), (1, 0, 10)]))
    assert reads == [(0, 0, 2 * PAGE), (1, 0, PAGE)]


def test_long_reads_are_divided() -> None:
    reads = list(coalesced_reads([(0, 0, 2 * READ_BYTES + 1)]))
    assert [end - start for _, start, end in reads] == [READ_BYTES, READ_BYTES, PAGE]


def test_a_temporary_weight_is_released_unless_it_was_admitted(file, resident):
    temporary = TemporaryReads(resident)
    first, second = WEIGHTS[:2]
    for weight in (first, second):
        assert temporary.read(weight) == resident.address(weight)
        assert holds(resident, weight, file)
    assert temporary.read_bytes == first.nbytes + second.nbytes
    temporary.release(nonresident=[first])
    assert temporary.weights == []
    assert holds(resident, second, file)
