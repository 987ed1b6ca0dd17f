"""Pinned weights arrive while llama.cpp loads and computes; whoever needs one waits for it."""

from __future__ import annotations

import ctypes
import os
import random
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from deepseek_r1.core.errors import LoadStopped
from deepseek_r1.weights.arrivals import Arrivals
from deepseek_r1.weights.homes import Homes
from deepseek_r1.weights.matrix import Matrix
from deepseek_r1.weights.reader import WeightFile, WeightsUnreadableError

pytestmark = pytest.mark.skipif(not hasattr(os, "preadv"), reason="streaming needs preadv")

MIB = 1 << 20
WEIGHTS = [Matrix(f"weight {n}", 0, n * 3 * MIB + 32, 3 * MIB) for n in range(4)]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[WeightFile]:
    path = tmp_path / "weights.bin"
    path.write_bytes(random.Random(3).randbytes(13 * MIB))
    opened = WeightFile(path)
    yield opened
    opened.close()


@pytest.fixture
def homes(file: WeightFile) -> Iterator[Homes]:
    made = Homes([file])
    yield made
    made.close()


def at_home(homes: Homes, matrix: Matrix) -> bytes:
    return ctypes.string_at(homes.address(matrix), matrix.nbytes)


def bytes_of(file: WeightFile, matrix: Matrix) -> bytes:
    return file.path.read_bytes()[matrix.offset : matrix.offset + matrix.nbytes]


@pytest.fixture
def filled(homes: Homes) -> Iterator[Callable[..., Arrivals]]:
    made: list[Arrivals] = []

    def fill(*groups: Sequence[Matrix]) -> Arrivals:
        made.append(Arrivals(homes, *groups))
        return made[-1]

    yield fill
    for each in made:
        each.stop()


def test_a_weight_is_there_once_it_was_waited_for(
    file: WeightFile, homes: Homes, filled: Callable[..., Arrivals]
) -> None:
    arrivals = filled(WEIGHTS[2:3], WEIGHTS[:2], WEIGHTS[3:])
    for matrix in (WEIGHTS[3], WEIGHTS[0], WEIGHTS[2], WEIGHTS[1]):
        arrivals.wait_for(matrix)
        assert at_home(homes, matrix) == bytes_of(file, matrix)
    assert arrivals.first == {WEIGHTS[2]}
    assert arrivals.done


def test_all_that_is_waited_for_is_told_how_far_it_is(
    file: WeightFile, homes: Homes, filled: Callable[..., Arrivals]
) -> None:
    heard: list[float] = []
    filled(WEIGHTS).wait_for_all(WEIGHTS[1:], lambda fraction: heard.append(fraction) is None)
    for matrix in WEIGHTS[1:]:
        assert at_home(homes, matrix) == bytes_of(file, matrix)
    assert heard[-1] == 1.0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere bytes may stay for a while")
def test_what_the_model_does_not_use_is_given_back(
    file: WeightFile, homes: Homes, filled: Callable[..., Arrivals]
) -> None:
    arrivals = filled(WEIGHTS)
    arrivals.wait_for_all(WEIGHTS, lambda _fraction: True)
    arrivals.give_back(WEIGHTS[:1])
    assert at_home(homes, WEIGHTS[0]) != bytes_of(file, WEIGHTS[0])


def test_a_model_waits_for_what_it_needs_first_and_for_what_others_look_into(
    file: WeightFile, homes: Homes, filled: Callable[..., Arrivals]
) -> None:
    first, later, viewed, unused = WEIGHTS
    arrivals = filled([first], [later, viewed, unused])
    pending = arrivals.attach([first, later, viewed], [viewed], lambda _fraction: True)
    assert pending == {later}
    assert at_home(homes, first) == bytes_of(file, first)
    assert at_home(homes, viewed) == bytes_of(file, viewed)
    arrivals.wait_for(later)
    assert at_home(homes, later) == bytes_of(file, later)
    assert not arrivals.pending


def test_a_weight_of_two_groups_is_there_with_the_first(
    file: WeightFile, homes: Homes, filled: Callable[..., Arrivals]
) -> None:
    large, small = Matrix("large", 0, 0, 2 * MIB), Matrix("small", 0, 2 * MIB, 5_000)
    behind = Matrix("behind", 0, 2 * MIB + 5_024, 2 * MIB)
    arrivals = filled([small], [large, behind, small])
    assert arrivals.first == {small}
    for matrix in (small, large, behind):
        arrivals.wait_for(matrix)
        assert at_home(homes, matrix) == bytes_of(file, matrix)


def test_a_load_that_is_stopped_reads_no_more(homes: Homes) -> None:
    before = threading.active_count()
    arrivals = Arrivals(homes, WEIGHTS)
    with pytest.raises(LoadStopped):
        arrivals.wait_for_all(WEIGHTS, lambda _fraction: False)
    arrivals.stop()
    assert threading.active_count() == before


def test_a_file_that_was_cut_is_told_where_its_weights_are_waited_for(
    file: WeightFile, homes: Homes
) -> None:
    os.truncate(file.path, 5 * MIB)
    arrivals = Arrivals(homes, WEIGHTS)
    with pytest.raises(WeightsUnreadableError, match="shorter"):
        arrivals.wait_for(WEIGHTS[3])
    arrivals.stop()
