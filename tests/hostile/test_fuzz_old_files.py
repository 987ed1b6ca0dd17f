"""The short form of the fuzz command for files from before GGUF."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.errors import EngineDied, R1Error
from deepseek_r1.formats import ggml_file
from hostile import fuzz_old_files
from hostile.fuzz_old_files import LONGEST_S, Findings, open_mutant, trial
from support.ggml_files import FAMILIES

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def _with_rotation(path: Path, family: str, rotation: int) -> bytes:
    """A sound file of the family, but for its `n_rot`."""
    raw = bytearray(FAMILIES[family](path).read_bytes())
    raw[4 + 4 * 5 : 4 + 4 * 6] = rotation.to_bytes(4, "little")
    return bytes(raw)


@pytest.mark.quiet
def test_two_hundred_broken_old_files_end_no_process_of_the_caller() -> None:
    found = trial(seed=20261126, count=200, seconds=25)
    assert sum(found.verdicts.values()) > 20
    assert found.slowest_s < LONGEST_S
    assert found.bad == []


def test_a_file_that_ends_the_engine_leaves_the_caller_an_error(tmp_path: Path) -> None:
    path = FAMILIES["falcon"](tmp_path / "falcon.bin")
    with CPUInference(path, context_length=256, thread_count=1) as model:
        engine = model._runner.require_engine()
        psutil.Process(engine._model.process_id).kill()  # as a crash of native code would
        with pytest.raises(EngineDied):
            model.generate("hello", 2)
        with pytest.raises(R1Error):
            model.generate("hello", 2)


def test_the_fuzz_command_notices_a_file_that_ends_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = _with_rotation(tmp_path / "model.bin", "gptneox", 0)
    monkeypatch.setitem(ggml_file._RANGES, "n_rot", (0, ggml_file.MAX_WIDTH))  # the bound is gone
    verdict = open_mutant(tmp_path / "mutant.bin", raw, Findings(), "planted")
    assert verdict.startswith("EngineDied")


def test_the_fuzz_command_notices_memory_beyond_the_bill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = FAMILIES["gpt2"](tmp_path / "model.bin").read_bytes()
    monkeypatch.setattr(fuzz_old_files, "LEGACY_PROCESS_MIB", 8.0)
    found = Findings()
    assert open_mutant(tmp_path / "mutant.bin", raw, found, "planted") == "answered"
    assert len(found.bad) == 1
    assert found.bad[0].endswith("MiB")


@pytest.mark.parametrize("family", ["gptj", "gptneox"])
@pytest.mark.parametrize("rotation", [0, 4096])  # by which the engine divides; wider than a head
def test_an_impossible_rotation_is_refused_by_the_header(
    tmp_path: Path, family: str, rotation: int
) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(_with_rotation(path, family, rotation))
    with pytest.raises(R1Error):
        CPUInference(path, context_length=256)
