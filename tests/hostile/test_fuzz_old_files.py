"""The short form of the fuzz command for files from before GGUF."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.errors import EngineDied, R1Error
from hostile.fuzz_old_files import LONGEST_S, trial
from support.ggml_files import FAMILIES

pytestmark = [pytest.mark.native, pytest.mark.slow]


@pytest.mark.quiet
def test_two_hundred_broken_old_files_end_no_process_of_the_caller() -> None:
    verdicts, slowest = trial(seed=20261126, count=200, seconds=25)
    assert sum(verdicts.values()) > 20
    assert slowest < LONGEST_S


def test_a_file_that_ends_the_engine_leaves_the_caller_an_error(tmp_path: Path) -> None:
    path = FAMILIES["falcon"](tmp_path / "falcon.bin")
    with CPUInference(path, context_length=256, thread_count=1) as model:
        engine = model._runner.require_engine()
        engine._model._process.kill()  # as a crash of native code would
        with pytest.raises(EngineDied):
            model.generate("hello", 2)
        with pytest.raises(R1Error):
            model.generate("hello", 2)


@pytest.mark.parametrize("family", ["gptj", "gptneox"])
@pytest.mark.parametrize("rotation", [0, 4096])  # by which the engine divides; wider than a head
def test_an_impossible_rotation_is_refused_by_the_header(
    tmp_path: Path, family: str, rotation: int
) -> None:
    path = FAMILIES[family](tmp_path / "model.bin")
    raw = bytearray(path.read_bytes())
    raw[4 + 4 * 5 : 4 + 4 * 6] = rotation.to_bytes(4, "little")  # n_rot
    path.write_bytes(raw)
    with pytest.raises(R1Error):
        CPUInference(path, context_length=256)
