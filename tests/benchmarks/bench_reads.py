"""What does the drive do while a token is computed, and what would it do undisturbed?

    .venv/bin/python tests/benchmarks/bench_reads.py MODEL --budget 762 [--tokens 16] [--sizes]

Writes an answer with weights from the disk and counts: reads in flight over the time of a token,
the share of it in which the kernel had something to read, and how many requests were in its queue
(`/sys/dev/block/*/stat`; Linux). Then reads the same pieces into a ring of the same size without a
model: with nothing beside it, with two threads that run through memory, with two that only spin.
With `--sizes` also how the drive's speed depends on the length of a read, and on how much memory
the reads go round in.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, pairwise
from pathlib import Path
from typing import ClassVar

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "app"))

from deepseek_r1 import CPUInference
from deepseek_r1.core.events import PrefillProgress
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.hardware.disk import READERS, measure_mib_s
from deepseek_r1.weights.memory_region import Region
from deepseek_r1.weights.streaming import direct_file, streamed_weights
from deepseek_r1.weights.streaming.direct_file import WeightFile
from deepseek_r1.weights.streaming.prefetch import PrefetchRing
from deepseek_r1.weights.weight import Weight

MIB = 1 << 20
_LOAD_BYTES, _SPIN_BYTES = 256 * MIB, 32_768
_RAW_S = 1.0
_SIZES_KIB = (128, 256, 512, 1024, 2048, 4096)


class WatchedFile(WeightFile):
    """Keeps when each read began and ended: all are made in Python, direct ones too."""

    spans: ClassVar[list[tuple[float, float, int]]] = []
    descriptor = -1

    def read(self, into, start, end):
        began = time.perf_counter()
        super().read(into, start, end)
        self.spans.append((began, time.perf_counter(), end - start))


class WatchedRing(PrefetchRing):
    """Keeps which one was made last."""

    last: ClassVar[PrefetchRing | None] = None

    def __init__(self, *arguments):
        super().__init__(*arguments)
        WatchedRing.last = self


def drive_counters(path: Path) -> tuple[float, float]:
    """Seconds in which the kernel had reads of the drive, and the sum of all requests' seconds."""
    device = path.stat().st_dev
    stat = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat").read_text().split()
    return int(stat[9]) / 1000, int(stat[10]) / 1000


def write_an_answer(path: Path, budget_mib: int, tokens: int) -> list[Weight]:
    """Print what a token's time was used for; the weights that were streamed."""
    settings = LoadSettings(memory_budget=budget_mib, context_length=1024, swap_enabled=True)
    sampling = SamplingSettings(temperature=1.5, top_p=1.0, seed=3, max_tokens=tokens)
    with CPUInference(path, settings=settings) as model:
        for event in model.stream("Write on and on about a dragon.", sampling=sampling):
            if isinstance(event, PrefillProgress) and event.done == event.total:
                WatchedFile.spans.clear()
                began, before, waited_s = time.perf_counter(), drive_counters(path), _waited(model)
        ended, after = time.perf_counter(), drive_counters(path)
        waited_s = _waited(model) - waited_s
        assert WatchedRing.last is not None, "nothing is streamed under this budget"
        order = list(WatchedRing.last.order)
    spans, seconds, written = (
        list(WatchedFile.spans),
        ended - began,
        event.stats.completion_tokens - 1,
    )
    read_mib = sum(nbytes for _, _, nbytes in spans) / MIB
    print(
        f"a token: {1000 * seconds / written:.1f} ms, "
        f"waiting for weights {1000 * waited_s / written:.1f}; {read_mib / written:.0f} MiB "
        f"in {len(spans) / written:.0f} reads; {read_mib / seconds:.0f} MiB/s"
    )
    shares = in_flight(spans, began, ended)
    print("reads in flight:", ", ".join(f"{n}: {share:.1%}" for n, share in sorted(shares.items())))
    busy_s, queued_s = (now - then for now, then in zip(after, before, strict=True))
    print(f"the drive: busy {busy_s / seconds:.1%}, {queued_s / seconds:.1f} requests on average")
    return order


def _waited(model: CPUInference) -> float:
    stats = model.weights_stats
    return stats.io_wait_s if stats is not None else 0.0


def in_flight(
    spans: list[tuple[float, float, int]], began: float, ended: float
) -> dict[int, float]:
    """Shares of the time with so many reads at once."""
    steps = [(began, 0), *((at, 1) for at, _, _ in spans), *((at, -1) for _, at, _ in spans)]
    seconds: Counter[int] = Counter()
    count = 0
    for (at, step), (until, _) in pairwise([*sorted(steps), (ended, 0)]):
        count += step
        seconds[count] += max(0.0, min(until, ended) - max(at, began))
    return {n: each / (ended - began) for n, each in seconds.items()}


@contextmanager
def load(nbytes: int) -> Iterator[None]:
    """Two threads that read `nbytes` over and over; with 0, none."""
    stop, memory = threading.Event(), Region(max(nbytes, 1), huge_pages=True)
    memory.commit(0, nbytes)
    ctypes.memset(memory.address, 1, nbytes)
    search = ctypes.CDLL(None).memchr
    search.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

    def run() -> None:
        while not stop.is_set():
            search(memory.address, 7, nbytes)

    threads = [threading.Thread(target=run) for _ in range(2 if nbytes else 0)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        memory.close()


def raw_mib_s(file: WeightFile, weights: list[Weight], ring_bytes: int) -> float:
    """The speed of the ring's own readers when each weight is used up at once."""
    ring = PrefetchRing([file], ring_bytes)
    try:
        ring.set_order(weights)
        began = time.perf_counter()
        for weight in cycle(weights):
            if time.perf_counter() - began > _RAW_S:
                break
            ring.acquire(weight)
            ring.release()
        return ring.counters.read_bytes / MIB / (time.perf_counter() - began)
    finally:
        ring.close()


def print_sizes(path: Path) -> None:
    """The drive's speed by the length of a read and by the memory that is read into."""
    print("MiB/s by read, KiB:", *(f"{kib:6}" for kib in _SIZES_KIB))
    for memory_mib in (24, 48, 160):
        speeds = (
            measure_mib_s(path, seconds=0.8, memory_mib=memory_mib, read_bytes=kib << 10)
            for kib in _SIZES_KIB
        )
        print(f"  into {memory_mib:4} MiB    ", *(f"{speed:6.0f}" for speed in speeds), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--budget", type=int, required=True)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--sizes", action="store_true")
    given = parser.parse_args()
    streamed_weights.PrefetchRing, direct_file.WeightFile = WatchedRing, WatchedFile
    path = given.model.resolve()
    order = write_an_answer(path, given.budget, given.tokens)
    ring_bytes = WatchedRing.last.ring_bytes
    raw = measure_mib_s(path, memory_mib=ring_bytes / MIB)
    print(f"{READERS} readers, a ring of {ring_bytes / MIB:.0f} MiB; the drive reads {raw:.0f} "
          "MiB/s in pieces of 1 MiB into as much, and as it is streamed:")  # fmt: skip
    file = WeightFile(path, chunk_bytes=524_288)
    for name, nbytes in (("nothing", 0), ("two threads in memory", _LOAD_BYTES),
                         ("two threads that spin", _SPIN_BYTES)):  # fmt: skip
        with load(nbytes):
            print(f"  beside {name}: {raw_mib_s(file, order, ring_bytes):.0f} MiB/s")
    file.close()
    if given.sizes:
        print_sizes(path)


if __name__ == "__main__":
    main()
