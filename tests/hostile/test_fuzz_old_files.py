"""The short form of the fuzz command for files from before GGUF."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from deepseek_r1 import CPUInference
from deepseek_r1.core.errors import EngineDied, R1Error
from deepseek_r1.formats import ggml_file
from hostile import fuzz_old_files
from hostile.fuzz_old_files import LONGEST_S, Findings, Opener, trial
from support.forked_worker import forked_workers
from support.ggml_files import FAMILIES

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ONLY_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")


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


@ONLY_LINUX
def test_the_fuzz_command_notices_a_file_that_ends_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = _with_rotation(tmp_path / "model.bin", "gptneox", 0)
    monkeypatch.setitem(ggml_file._RANGES, "n_rot", (0, ggml_file.MAX_WIDTH))  # the bound is gone
    with forked_workers() as workers:
        verdict = Opener(tmp_path, workers).open(raw, Findings(), "planted")
    assert verdict == "EngineDied SIGFPE, started anew: EngineDied SIGFPE"


@ONLY_LINUX
def test_the_fuzz_command_notices_memory_beyond_the_bill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = FAMILIES["gpt2"](tmp_path / "model.bin").read_bytes()
    monkeypatch.setattr(fuzz_old_files, "LEGACY_PROCESS_MIB", 8.0)
    found = Findings()
    with forked_workers() as workers:
        assert Opener(tmp_path, workers).open(raw, found, "planted") == "answered"
    assert len(found.bad) == 1
    assert found.bad[0].endswith("MiB")


@ONLY_LINUX
def test_the_fuzz_command_ends_an_engine_that_hangs_and_reports_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(path: Path) -> str:
        with CPUInference(path, context_length=256, thread_count=1) as model:
            os.kill(model._runner.require_engine()._model.process_id, signal.SIGSTOP)
            with pytest.raises(EngineDied) as raised:
                model.generate("hello", 2)
        return f"EngineDied {raised.value.facts['how']}"

    monkeypatch.setattr(fuzz_old_files, "verdict_of", hang)
    monkeypatch.setattr(fuzz_old_files, "LONGEST_S", 1.0)
    monkeypatch.setattr(fuzz_old_files, "ABANDONED_S", 3.0)
    raw, found = FAMILIES["gpt2"](tmp_path / "model.bin").read_bytes(), Findings()
    with forked_workers() as workers:
        Opener(tmp_path, workers).open(raw, found, "planted")
    assert len(found.bad) == 1
    assert found.bad[0].startswith("planted: EngineDied SIGKILL after ")


@ONLY_LINUX
def test_the_processes_of_the_fuzz_command_are_locked_as_started_ones_are(tmp_path: Path) -> None:
    path = FAMILIES["gpt2"](tmp_path / "model.bin")

    def lock_of_its_process() -> list[str]:
        with CPUInference(path, context_length=256, thread_count=1) as model:
            process = model._runner.require_engine()._model.process_id
            assert process != os.getpid()
            lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
        return [line for line in lines if line.startswith(("NoNewPrivs", "Seccomp", "CapEff"))]

    started = lock_of_its_process()
    with forked_workers():
        assert lock_of_its_process() == started


@pytest.mark.parametrize("family", ["gptj", "gptneox"])
@pytest.mark.parametrize("rotation", [0, 4096])  # by which the engine divides; wider than a head
def test_an_impossible_rotation_is_refused_by_the_header(
    tmp_path: Path, family: str, rotation: int
) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(_with_rotation(path, family, rotation))
    with pytest.raises(R1Error):
        CPUInference(path, context_length=256)
