"""Resident weights lie in memory at their offsets in the file."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepseek_r1.hardware.read_speed import READ_BYTES
from deepseek_r1.hardware.storage import PAGE
from deepseek_r1.weights.streaming.direct_file import WeightFile
from deepseek_r1.weights.streaming.resident_memory import (
    ResidentMemory,
    TemporaryReads,
    coalesced_reads,
)
from deepseek_r1.weights.weight import Weight

NBYTES = 40 * PAGE
WEIGHTS = [Weight(f"weight {n}", 0, n * 10 * PAGE + 32, 9 * PAGE) for n in range(4)]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[WeightFile]:
    path = tmp_path / "weights.bin"
    path.write_bytes(random.Random(5).randbytes(NBYTES))
    opened = WeightFile(path)
    yield opened
    opened.close()


@pytest.fixture
def resident(file: WeightFile) -> Iterator[ResidentMemory]:
    memory = ResidentMemory([file])
    yield memory
    memory.close()


def holds(resident: ResidentMemory, weight: Weight, file: WeightFile) -> bool:
    expected = file.path.read_bytes()[weight.offset : weight.offset + weight.nbytes]
    return ctypes.string_at(resident.address(weight), weight.nbytes) == expected


def test_neighbours_are_read_together() -> None:
    reads = list(coalesced_reads([(0, 100, 200), (0, PAGE + 5, PAGE + 9), (1, 0, 10)]))
    assert reads == [(0, 0, 2 * PAGE), (1, 0, PAGE)]


def test_long_reads_are_divided() -> None:
    reads = list(coalesced_reads([(0, 0, 2 * READ_BYTES + 1)]))
    assert [end - start for _, start, end in reads] == [READ_BYTES, READ_BYTES, PAGE]


def test_a_temporary_weight_is_released_unless_it_was_admitted(
    file: WeightFile, resident: ResidentMemory
) -> None:
    temporary = TemporaryReads(resident)
    first, second = WEIGHTS[:2]
    for weight in (first, second):
        assert temporary.read(weight) == resident.address(weight)
        assert holds(resident, weight, file)
    assert temporary.read_bytes == first.nbytes + second.nbytes
    temporary.release(nonresident=[first])
    assert temporary.weights == []
    assert holds(resident, second, file)
