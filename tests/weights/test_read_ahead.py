"""The ring reads ahead into every room that is free, and gives what is asked for, in any order."""

from __future__ import annotations

import ctypes
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepseek_r1.weights.matrix import Matrix
from deepseek_r1.weights.read_ahead import ReadAhead
from deepseek_r1.weights.reader import WeightFile
from deepseek_r1.weights.region import PAGE, page_up

pytestmark = pytest.mark.skipif(not hasattr(os, "preadv"), reason="streaming needs preadv")

MIB = 1 << 20
_PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WeightFile]:
    path: Path = tmp_path_factory.mktemp("weights") / "weights.bin"
    path.write_bytes(random.Random(7).randbytes(20 * MIB))
    opened = WeightFile(path)
    yield opened
    opened.close()


def in_a_row(sizes: list[int], gap: int = 0) -> list[Matrix]:
    """Weights of these sizes, one behind the other in the file."""
    made, offset = [], 0
    for number, nbytes in enumerate(sizes):
        made.append(Matrix(f"weight {number}", 0, offset, nbytes))
        offset += nbytes + gap
    return made


def holds(at: int, matrix: Matrix, file: WeightFile) -> bool:
    whole = file.path.read_bytes()
    wanted = whole[matrix.offset : matrix.offset + matrix.nbytes]
    return ctypes.string_at(at, matrix.nbytes) == wanted


def reads(ahead: ReadAhead, nbytes: int) -> bool:
    """Whether so much was read before patience ends."""
    until = time.monotonic() + _PATIENCE_S
    while ahead.read_bytes < nbytes and time.monotonic() < until:
        time.sleep(0.005)
    return ahead.read_bytes == nbytes


def test_a_weight_is_begun_before_there_is_room_for_all_of_it(file: WeightFile) -> None:
    first, second, large = in_a_row([4 * MIB, 4 * MIB, 8 * MIB])
    ahead = ReadAhead([file], 14 * MIB)
    try:
        ahead.set_order([first, second, large])
        assert reads(ahead, 8 * MIB)  # the large one begins where the first one is
        assert ahead.take(first) is not None
        ahead.release()
        assert reads(ahead, 12 * MIB)  # its first half, beside the second that nobody asked for yet
        assert ahead.take(second) is not None
        ahead.release()
        taken = ahead.take(large)
        assert taken is not None
        assert holds(taken[0], large, file)
    finally:
        ahead.close()


def test_what_waits_for_room_is_not_waited_for_out_of_turn(file: WeightFile) -> None:
    """Its room would get free only behind weights that are asked for later, or never."""
    first, second, third = in_a_row([4 * MIB, 4 * MIB, 4 * MIB])
    ahead = ReadAhead([file], 10 * MIB)
    try:
        ahead.set_order([first, second, third])
        assert reads(ahead, 8 * MIB)
        assert ahead.take(third) is None
        assert reads(ahead, 16 * MIB)  # what comes behind the third
        taken = ahead.take(first)
        assert taken is not None
        assert holds(taken[0], first, file)
    finally:
        ahead.close()


def test_another_ring_holds_what_was_on_its_way(file: WeightFile) -> None:
    weights = in_a_row([3 * MIB] * 5)
    ahead = ReadAhead([file], 7 * MIB)
    try:
        ahead.set_order(weights)
        for ring_mib in (12, 6, 9):
            ahead.resize(ring_mib * MIB)
            for matrix in weights * 2:
                taken = ahead.take(matrix)
                assert taken is None or holds(taken[0], matrix, file)
                ahead.release()
    finally:
        ahead.close()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sizes=st.lists(st.integers(1, 9 * PAGE), min_size=1, max_size=9),
    gap=st.sampled_from([0, 32, 5 * PAGE]),
    more_pages=st.integers(0, 20),
    data=st.data(),
)
def test_bytes_are_right_whatever_is_asked_for(
    file: WeightFile, sizes: list[int], gap: int, more_pages: int, data: st.DataObject
) -> None:
    weights = in_a_row(sizes, gap)
    largest = max(page_up(matrix.nbytes) + PAGE for matrix in weights)
    asked = data.draw(st.lists(st.sampled_from(weights), min_size=1, max_size=30))
    ahead = ReadAhead([file], largest + more_pages * PAGE)
    try:
        ahead.set_order(weights)
        held: list[tuple[int, Matrix]] = []
        for matrix in [*weights, *asked, *weights]:
            taken = ahead.take(matrix)
            if taken is not None:
                held.append((taken[0], matrix))
            if taken is None or taken[1]:
                assert all(holds(at, each, file) for at, each in held)
                held.clear()
                ahead.release()
    finally:
        ahead.close()
