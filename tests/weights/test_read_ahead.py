"""The ring reads ahead into every room that is free, and gives what is asked for, in any order."""

from __future__ import annotations

import ctypes
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepseek_r1.hardware.disk import READ_BYTES
from deepseek_r1.weights.matrix import Matrix
from deepseek_r1.weights.read_ahead import ReadAhead
from deepseek_r1.weights.reader import WeightFile, WeightsUnreadableError
from deepseek_r1.weights.region import PAGE, page_down, page_up

pytestmark = pytest.mark.skipif(not hasattr(os, "preadv"), reason="streaming needs preadv")

MIB = 1 << 20
_PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("weights") / "weights.bin"
    made.write_bytes(random.Random(7).randbytes(20 * MIB + 1234))
    return made


@pytest.fixture(scope="module", params=[True, False], ids=["direct", "through the cache"])
def file(path: Path, request: pytest.FixtureRequest) -> Iterator[WeightFile]:
    opened = WeightFile(path, direct=request.param)
    yield opened
    opened.close()


class Watched(WeightFile):
    """Every read is made in Python, and noted."""

    def __init__(self, path: Path, chunk_bytes: int) -> None:
        super().__init__(path, direct=False, chunk_bytes=chunk_bytes)
        self.reads: list[tuple[int, int]] = []
        self.broken = False

    def read(self, into: memoryview, start: int, end: int) -> None:
        if self.broken:
            raise WeightsUnreadableError("the drive is gone")
        self.reads.append((start, end))
        super().read(into, start, end)


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
    while ahead.counters.read_bytes < nbytes and time.monotonic() < until:
        time.sleep(0.005)
    return ahead.counters.read_bytes == nbytes


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


def test_what_comes_soon_is_waited_for_and_read_once(file: WeightFile) -> None:
    """Also where nobody has begun to read yet, and a little out of turn."""
    first, second, third = in_a_row([3 * MIB, 3 * MIB, 3 * MIB])
    for asked in ([first, second, third], [second, first, third], [third, first, second]):
        ahead = ReadAhead([file], 10 * MIB)
        try:
            ahead.set_order([first, second, third])
            for matrix in asked:  # at once: no reader can have given each a place before
                taken = ahead.take(matrix)
                assert taken is not None
                assert holds(taken[0], matrix, file)
            assert ahead.counters.read_bytes <= 3 * (3 * MIB + 2 * PAGE)
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


def test_the_end_of_a_file_that_is_no_whole_page_is_read(file: WeightFile) -> None:
    last = Matrix("last", 0, file.nbytes - 5000, 5000)
    ahead = ReadAhead([file], MIB)
    try:
        ahead.set_order([last])
        assert reads(ahead, page_up(file.nbytes) - page_down(last.offset))
        taken = ahead.take(last)
        assert taken is not None
        assert holds(taken[0], last, file)
    finally:
        ahead.close()


@pytest.mark.parametrize("chunk_kib", [64, 512, 2048])
def test_reads_end_at_chunks_and_neighbours_are_read_together(path: Path, chunk_kib: int) -> None:
    chunk = chunk_kib << 10
    file = Watched(path, chunk)
    offset, nbytes = 3 * chunk // 2 + 32, 7 * MIB
    ahead = ReadAhead([file], 8 * MIB)
    try:
        ahead.set_order([Matrix("weight", 0, offset, nbytes)])
        assert reads(ahead, page_up(offset + nbytes) - page_down(offset))
    finally:
        ahead.close()
        file.close()
    pieces = sorted(file.reads)
    assert pieces[0][0] == page_down(offset)
    assert pieces[-1][1] == page_up(offset + nbytes)
    assert all(end % chunk == 0 for _, end in pieces[:-1])
    assert all(end - start <= max(READ_BYTES, chunk) for start, end in pieces)
    assert [end for _, end in pieces[:-1]] == [start for start, _ in pieces[1:]]
    assert len(pieces) <= nbytes // max(READ_BYTES, chunk) + 2


def test_a_read_that_fails_is_told_where_its_weight_is_asked_for(path: Path) -> None:
    file = Watched(path, READ_BYTES)
    first, second = in_a_row([2 * MIB, 2 * MIB])
    ahead = ReadAhead([file], 3 * MIB)
    try:
        ahead.set_order([first, second])
        assert reads(ahead, 2 * MIB)  # the second has no room yet
        file.broken = True
        assert ahead.take(first) is not None
        ahead.release()
        with pytest.raises(WeightsUnreadableError, match="the drive is gone"):
            ahead.take(second)
        with pytest.raises(WeightsUnreadableError):
            ahead.take(first)
        file.broken = False
        ahead.restart(pause=True)
        before = ahead.counters.read_bytes
        time.sleep(0.05)
        assert ahead.counters.read_bytes == before  # nothing is read in the pause
        for matrix in (first, second):
            taken = ahead.take(matrix)
            assert taken is not None
            assert holds(taken[0], matrix, file)
            ahead.release()
    finally:
        ahead.close()
        file.close()


def test_a_read_that_fails_late_is_not_the_next_answers_failure(path: Path) -> None:
    file, late = Watched(path, READ_BYTES), threading.Event()
    file.broken = True

    def read(into: memoryview, start: int, end: int) -> None:
        broken = file.broken
        if start and broken:  # the first piece fails at once, the others when `late` is set
            late.wait(_PATIENCE_S)
        if broken:
            raise WeightsUnreadableError("the drive is gone")
        Watched.read(file, into, start, end)

    file.read = read  # type: ignore[method-assign]
    first, second = in_a_row([MIB, 2 * MIB])
    ahead = ReadAhead([file], 8 * MIB)
    try:
        ahead.set_order([first, second])
        with pytest.raises(WeightsUnreadableError):
            ahead.take(first)
        threading.Timer(0.1, late.set).start()
        ahead.restart(pause=True)
        file.broken = False
        late.wait(_PATIENCE_S)
        time.sleep(0.05)
        taken = ahead.take(first)
        assert taken is not None
        assert holds(taken[0], first, file)
    finally:
        ahead.close()
        file.close()


def test_counters_may_be_asked_for_while_the_ring_ends(file: WeightFile) -> None:
    for _ in range(50):
        ahead = ReadAhead([file], 2 * MIB)
        ahead.set_order(in_a_row([MIB] * 4))
        ended = threading.Event()

        def ask(ahead: ReadAhead = ahead, ended: threading.Event = ended) -> None:
            while not ended.is_set():
                assert ahead.counters.wait_s == 0.0

        asking = threading.Thread(target=ask)
        asking.start()
        ahead.close()
        ended.set()
        asking.join()
        assert ahead.counters.read_bytes == 0


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
