"""Pinned weights are read while llama.cpp loads: all of them, or none any more."""

from __future__ import annotations

import ctypes
import os
import random
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepseek_r1.core.errors import LoadStopped
from deepseek_r1.weights.homes import Filling, Homes
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


def test_what_the_model_uses_is_there_and_the_rest_is_given_back(
    file: WeightFile, homes: Homes
) -> None:
    whole, heard = file.path.read_bytes(), []
    filling = Filling(homes, WEIGHTS)
    read = filling.finish(WEIGHTS[1:], lambda fraction: heard.append(fraction) is None)
    assert read == set(WEIGHTS)
    for matrix in WEIGHTS[1:]:
        assert at_home(homes, matrix) == whole[matrix.offset : matrix.offset + matrix.nbytes]
    assert heard[-1] == 1.0
    if sys.platform == "linux":  # elsewhere the bytes may stay until the memory is wanted
        assert at_home(homes, WEIGHTS[0]) != whole[32 : 32 + 3 * MIB]


def test_a_load_that_is_stopped_reads_no_more(homes: Homes) -> None:
    before = threading.active_count()
    filling = Filling(homes, WEIGHTS)
    with pytest.raises(LoadStopped):
        filling.finish(WEIGHTS, lambda _fraction: False)
    assert threading.active_count() == before


def test_a_file_that_was_cut_is_told_where_its_weights_are_waited_for(
    file: WeightFile, homes: Homes
) -> None:
    os.truncate(file.path, 5 * MIB)
    filling = Filling(homes, WEIGHTS)
    with pytest.raises(WeightsUnreadableError, match="shorter"):
        filling.finish(WEIGHTS, lambda _fraction: True)
    filling.stop()
