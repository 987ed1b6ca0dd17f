"""The ring prefetches into all free memory, and serves weights in any order."""

import ctypes
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepseek_r1.hardware.read_speed import READ_BYTES
from deepseek_r1.hardware.storage import PAGE, page_down, page_up
from deepseek_r1.native.native_library import native
from deepseek_r1.weights.direct_file import WeightFile, WeightsUnreadableError
from deepseek_r1.weights.prefetch import PrefetchRing
from deepseek_r1.weights.weight import Weight
from support.patience import PATIENCE_S

MIB = 1 << 20


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


class RecordingFile(WeightFile):
    """Notes the reads that are made in Python: all of them, unless it is opened for direct I/O."""

    def __init__(self, path: Path, chunk_bytes: int, *, direct: bool = False) -> None:
        super().__init__(path, direct=direct, chunk_bytes=chunk_bytes)
        self.reads: list[tuple[int, int]] = []
        self.broken = False

    def read(self, into: memoryview, start: int, end: int) -> None:
        if self.broken:
            raise WeightsUnreadableError("the drive is gone")
        self.reads.append((start, end))
        super().read(into, start, end)


MakeRing = Callable[[WeightFile, int, list[Weight]], PrefetchRing]


@pytest.fixture
def make_ring() -> Iterator[MakeRing]:
    """Makes a ring that reads weights in this order."""
    with ExitStack() as opened:

        def make(file: WeightFile, nbytes: int, order: list[Weight]) -> PrefetchRing:
            if isinstance(file, RecordingFile):
                opened.callback(file.close)
            ring = opened.enter_context(closing(PrefetchRing([file], nbytes)))
            ring.set_order(order)
            return ring

        yield make


def in_a_row(sizes: list[int], gap: int = 0) -> list[Weight]:
    """Weights of these sizes, one after the other in the file."""
    made, offset = [], 0
    for number, nbytes in enumerate(sizes):
        made.append(Weight(f"weight {number}", 0, offset, nbytes))
        offset += nbytes + gap
    return made


def holds(at: int, weight: Weight, file: WeightFile) -> bool:
    whole = file.path.read_bytes()
    wanted = whole[weight.offset : weight.offset + weight.nbytes]
    return ctypes.string_at(at, weight.nbytes) == wanted


NOT_PREFETCHED, CONTINUE, COMPUTE, FAILED = range(4)  # `Outcome` of prefetch_ring.hpp


def acquire(ring: PrefetchRing, weight: Weight) -> tuple[int, bool] | None:
    """As the eval callback does: the weight's address, and whether to compute now.

    None for a weight that was not on its way; prefetching then goes on behind it.
    """
    address, number = ctypes.c_size_t(), ring.number(weight)
    outcome = native().ring_acquire(ring.ring, number, ctypes.byref(address))
    if outcome == FAILED and ring.failure is not None:
        raise ring.failure
    return None if outcome == NOT_PREFETCHED else (address.value, outcome == COMPUTE)


def assert_served(ring: PrefetchRing, weight: Weight, file: WeightFile) -> None:
    acquired = acquire(ring, weight)
    assert acquired is not None
    assert holds(acquired[0], weight, file)


def reads(ring: PrefetchRing, nbytes: int) -> bool:
    """Whether so much was read before patience ends."""
    until = time.monotonic() + PATIENCE_S
    while ring.counters.read_bytes < nbytes and time.monotonic() < until:
        time.sleep(0.005)
    return ring.counters.read_bytes == nbytes


def test_a_weight_is_read_as_far_as_memory_is_free(make_ring: MakeRing, file: WeightFile) -> None:
    first, second, large = in_a_row([4 * MIB, 4 * MIB, 8 * MIB])
    ring = make_ring(file, 14 * MIB, [first, second, large])
    assert reads(ring, 8 * MIB)  # the large one begins where the first one is
    assert acquire(ring, first) is not None
    ring.release()
    assert reads(ring, 12 * MIB)  # its first half, beside the second that nobody asked for yet
    assert acquire(ring, second) is not None
    ring.release()
    assert_served(ring, large, file)


def test_direct_reads_are_made_without_python(make_ring: MakeRing, path: Path) -> None:
    file = RecordingFile(path, READ_BYTES, direct=True)
    if not file.direct:
        pytest.skip("the drive of temporary files has no direct I/O")
    weights = [*in_a_row([3 * MIB]), Weight("at the file's end", 0, 18 * MIB, 2 * MIB + 1234)]
    ring = make_ring(file, 8 * MIB, weights)
    for weight in weights:
        assert_served(ring, weight, file)
        ring.release()
    assert file.reads == []


def test_a_weight_that_comes_soon_is_waited_for_and_read_once(make_ring, file):
    """Also where nobody has begun to read yet, and a little out of turn."""
    first, second, third = in_a_row([3 * MIB, 3 * MIB, 3 * MIB])
    for asked in ([first, second, third], [second, first, third], [third, first, second]):
        ring = make_ring(file, 10 * MIB, [first, second, third])
        for weight in asked:  # at once: no reader can have given each a place before
            assert_served(ring, weight, file)
        assert ring.counters.read_bytes <= 3 * (3 * MIB + 2 * PAGE)


def test_a_weight_that_waits_for_memory_is_not_waited_for_out_of_order(make_ring, file):
    """Its memory would become free only after weights that are acquired later, or never."""
    first, second, third = in_a_row([4 * MIB, 4 * MIB, 4 * MIB])
    ring = make_ring(file, 10 * MIB, [first, second, third])
    assert reads(ring, 8 * MIB)
    assert acquire(ring, third) is None
    assert reads(ring, 16 * MIB)  # the weights after the third
    assert_served(ring, first, file)


def test_a_resized_ring_serves_the_right_bytes(make_ring: MakeRing, file: WeightFile) -> None:
    weights = in_a_row([3 * MIB] * 5)
    ring = make_ring(file, 7 * MIB, weights)
    for ring_mib in (12, 6, 9):
        ring.resize(ring_mib * MIB)
        for weight in weights * 2:
            acquired = acquire(ring, weight)
            assert acquired is None or holds(acquired[0], weight, file)
            ring.release()


def test_the_last_part_of_a_page_at_the_files_end_is_read(make_ring, file):
    last = Weight("last", 0, file.nbytes - 5000, 5000)
    ring = make_ring(file, MIB, [last])
    assert reads(ring, page_up(file.nbytes) - page_down(last.offset))
    assert_served(ring, last, file)


@pytest.mark.parametrize("chunk_kib", [64, 512, 2048])
def test_reads_end_at_chunks_and_neighbours_are_read_together(make_ring, path, chunk_kib):
    chunk = chunk_kib << 10
    file = RecordingFile(path, chunk)
    offset, nbytes = 3 * chunk // 2 + 32, 7 * MIB
    ring = make_ring(file, 8 * MIB, [Weight("weight", 0, offset, nbytes)])
    assert reads(ring, page_up(offset + nbytes) - page_down(offset))
    pieces = sorted(file.reads)
    assert pieces[0][0] == page_down(offset)
    assert pieces[-1][1] == page_up(offset + nbytes)
    assert all(end % chunk == 0 for _, end in pieces[:-1])
    assert all(end - start <= max(READ_BYTES, chunk) for start, end in pieces)
    assert [end for _, end in pieces[:-1]] == [start for start, _ in pieces[1:]]
    assert len(pieces) <= nbytes // max(READ_BYTES, chunk) + 2


def test_acquiring_a_weight_whose_read_failed_raises(make_ring: MakeRing, path: Path) -> None:
    file = RecordingFile(path, READ_BYTES)
    first, second = in_a_row([2 * MIB, 2 * MIB])
    ring = make_ring(file, 3 * MIB, [first, second])
    assert reads(ring, 2 * MIB)  # the second has no memory yet
    file.broken = True
    assert acquire(ring, first) is not None
    ring.release()
    with pytest.raises(WeightsUnreadableError, match="the drive is gone"):
        acquire(ring, second)
    with pytest.raises(WeightsUnreadableError):
        acquire(ring, first)
    file.broken = False
    ring.restart(pause=True)
    before = ring.counters.read_bytes
    time.sleep(0.05)
    assert ring.counters.read_bytes == before  # nothing is read in the pause
    for weight in (first, second):
        assert_served(ring, weight, file)
        ring.release()


def test_a_late_failure_does_not_reach_the_next_computation(make_ring, path):
    file, late = RecordingFile(path, READ_BYTES), threading.Event()
    file.broken = True

    def read(into: memoryview, start: int, end: int) -> None:
        broken = file.broken
        if start and broken:  # the first piece fails at once, the others when `late` is set
            late.wait(PATIENCE_S)
        if broken:
            raise WeightsUnreadableError("the drive is gone")
        RecordingFile.read(file, into, start, end)

    file.read = read  # type: ignore[method-assign]
    first, second = in_a_row([MIB, 2 * MIB])
    ring = make_ring(file, 8 * MIB, [first, second])
    with pytest.raises(WeightsUnreadableError):
        acquire(ring, first)
    threading.Timer(0.1, late.set).start()
    ring.restart(pause=True)
    file.broken = False
    late.wait(PATIENCE_S)
    time.sleep(0.05)
    assert_served(ring, first, file)


def test_counters_may_be_read_while_the_ring_closes(file: WeightFile) -> None:
    for _ in range(50):
        ring = PrefetchRing([file], 2 * MIB)
        ring.set_order(in_a_row([MIB] * 4))
        ended = threading.Event()

        def ask(ring: PrefetchRing = ring, ended: threading.Event = ended) -> None:
            while not ended.is_set():
                assert ring.counters.wait_s == 0.0

        asking = threading.Thread(target=ask)
        asking.start()
        ring.close()
        ended.set()
        asking.join()
        assert ring.counters.read_bytes == 0


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    sizes=st.lists(st.integers(1, 9 * PAGE), min_size=1, max_size=9),
    gap=st.sampled_from([0, 32, 5 * PAGE]),
    more_pages=st.integers(0, 20),
    data=st.data(),
)
def test_bytes_are_right_in_any_order_of_use(file, sizes, gap, more_pages, data) -> None:
    weights = in_a_row(sizes, gap)
    largest = max(page_up(weight.nbytes) + PAGE for weight in weights)
    asked = data.draw(st.lists(st.sampled_from(weights), min_size=1, max_size=30))
    with closing(PrefetchRing([file], largest + more_pages * PAGE)) as ring:
        ring.set_order(weights)
        held: list[tuple[int, Weight]] = []
        for weight in [*weights, *asked, *weights]:
            acquired = acquire(ring, weight)
            if acquired is not None:
                held.append((acquired[0], weight))
            if acquired is None or acquired[1]:
                assert all(holds(at, each, file) for at, each in held)
                held.clear()
                ring.release()
