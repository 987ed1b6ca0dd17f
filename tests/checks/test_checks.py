"""Each trouble of the published list is found by a check and comes with a way out."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from deepseek_r1 import checks
from deepseek_r1.checks import (
    Finding,
    Severity,
    computer,
    examine,
    installation,
    worst,
)
from deepseek_r1.core.process_lock import missing_of_landlock
from deepseek_r1.core.units import use_gigabytes
from deepseek_r1.hardware.pressure import MemoryReading
from deepseek_r1.memory.kernel_times import MEASURED_ROWS, KernelTimes, TypeTimes, keep_times
from deepseek_r1.native.native_library import native
from support.gguf_files import tiny_llama


def test_the_worst_counts() -> None:
    def found(verdict: Severity) -> Finding:
        return Finding("k", "t", "v", verdict)

    assert worst([]) is Severity.OK
    assert worst([found(Severity.NOTE), found(Severity.OK)]) is Severity.NOTE
    assert worst([found(Severity.PROBLEM), found(Severity.WARNING)]) is Severity.PROBLEM


def test_this_computer_is_examined_and_every_trouble_has_a_way_out() -> None:
    findings = examine()
    assert len({finding.key for finding in findings}) >= 12
    assert all(bool(f.todo) == (f.verdict is not Severity.OK) for f in findings)


def test_a_check_that_fails_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken():
        yield Finding("first", "First", "fine")
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(checks, "_CHECKS", (broken,))
    first, second = examine()
    assert first.key == "first"
    assert second.verdict is Severity.NOTE
    assert "Input/output error" in second.value


def test_who_multiplies_how_many_tokens_is_named_for_each_measured_type() -> None:
    plain, fast = (dict.fromkeys(MEASURED_ROWS, us) for us in (10.0, 5.0))
    few = plain | {rows: 5.0 for rows in MEASURED_ROWS if rows <= 8}
    types = {"Q2_K": None, "Q4_K": few, "Q8_0": fast}
    keep_times(
        KernelTimes(types={k: TypeTimes(plain=plain, ours=ours or {}) for k, ours in types.items()})
    )
    values = [each.value for each in computer.check_processor(Path("/")) if each.key == "kernels"]
    assert values == [
        "by llama.cpp", "1 to 8 tokens by our kernels", "1 tokens and more by our kernels"
    ]  # fmt: skip


def test_swap_that_cannot_be_read_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows psutil reads it from performance counters, which can be disabled."""

    def disabled():
        raise RuntimeError("PdhAddEnglishCounterW failed. Performance counters may be disabled.")

    monkeypatch.setattr(computer.psutil, "swap_memory", disabled)
    finding = next(finding for finding in examine() if finding.key == "swap")
    assert finding.verdict is Severity.NOTE
    assert "Performance counters" in finding.value
    assert "lodctr" in finding.todo


@pytest.mark.parametrize(
    ("available_mib", "waiting_percent", "memory", "pressure"),
    [
        (200, 2, Severity.PROBLEM, Severity.OK),
        (480, 40, Severity.WARNING, Severity.WARNING),
        (1500, 2, Severity.WARNING, Severity.OK),
        (9000, 40, Severity.OK, Severity.WARNING),
    ],
)
def test_short_memory_and_waiting_for_it_are_told(
    available_mib, waiting_percent, memory, pressure
) -> None:
    reading = MemoryReading(16_000, available_mib, some_percent=waiting_percent)
    assert computer.memory_finding(reading, budget_mib=2048).verdict is memory
    assert computer.pressure_finding(reading).verdict is pressure


def test_the_window_gets_amounts_in_gigabytes(tmp_path: Path) -> None:
    use_gigabytes(True)
    found = [
        computer.memory_finding(MemoryReading(16_000, 1500), 6000),
        installation.free_space_finding(tmp_path),
    ]
    shown = " ".join(f"{each.value} {each.todo}" for each in found)
    assert "GB" in shown
    assert "MiB" not in shown


def test_a_native_library_that_does_not_load_is_a_problem(tmp_path, monkeypatch):
    broken = tmp_path / "streaming.so"
    broken.write_bytes(b"no library")
    native.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr("deepseek_r1.native.native_library.LIBRARY", broken)
        found = [each for each in installation.check_software() if each.verdict is Severity.PROBLEM]
    native.cache_clear()
    assert [each.key for each in found] == ["native"]
    assert "Install" in found[0].todo


def tree(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def by_key(findings) -> dict[str, Finding]:
    return {finding.key: finding for finding in findings}


def test_what_linux_says_of_memory_nodes_microcode_and_the_clock(tmp_path: Path) -> None:
    cpus = "sys__devices__system__cpu__cpu0__cpufreq"
    root = tree(
        tmp_path,
        proc__cpuinfo="processor : 0\nmicrocode\t: 0x1\n",
        sys__devices__system__node__node0__cpulist="0",
        sys__devices__system__node__node1__cpulist="1",
        **{f"{cpus}__scaling_governor": "powersave", f"{cpus}__scaling_driver": "acpi-cpufreq"},
    )
    found = by_key(computer.check_processor(root))
    assert "virtual machine" in found["microcode"].value
    assert found["numa"].verdict is Severity.NOTE
    assert found["clock"].verdict is Severity.WARNING


def test_a_processor_without_an_engine_for_old_files_is_named_and_no_repair_is_advised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(installation.sys, "platform", "linux")
    monkeypatch.setattr(installation.platform, "machine", lambda: "aarch64")
    found = by_key(installation.check_software())
    assert "ctransformers" not in found
    assert found["old_files"].verdict is Severity.NOTE
    assert found["old_files"].value.endswith("aarch64")
    assert "GGUF" in found["old_files"].todo


def test_no_more_cores_are_busy_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computer, "busy_cores", lambda: 650.0)
    found = by_key(computer.check_processor(Path("/")))["load"]
    busy, cores = (float(word) for word in found.value.split() if word[0].isdigit())
    assert busy == cores
    assert found.verdict is Severity.WARNING


def test_the_powersave_of_modern_drivers_is_no_brake(tmp_path: Path) -> None:
    cpus = "sys__devices__system__cpu__cpu0__cpufreq"
    names = {f"{cpus}__scaling_governor": "powersave", f"{cpus}__scaling_driver": "intel_pstate"}
    assert by_key(computer.check_processor(tree(tmp_path, **names)))["clock"].verdict is Severity.OK


@pytest.mark.parametrize(
    ("text", "verdict"),
    [("always madvise [never]", Severity.NOTE), ("[always] madvise never", Severity.OK)],
)
def test_huge_pages_that_are_off_are_noted(tmp_path: Path, text: str, verdict: Severity) -> None:
    root = tree(tmp_path, sys__kernel__mm__transparent_hugepage__enabled=text)
    assert by_key(computer.check_memory(root))["huge_pages"].verdict is verdict


def test_a_profile_below_a_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert installation.profile_finding(tmp_path / "file" / "x").verdict is Severity.PROBLEM
    assert installation.profile_finding(tmp_path / "new" / "x").verdict is Severity.OK


@pytest.mark.skipif(sys.platform == "win32", reason="os.statvfs is of POSIX")
def test_a_profile_on_a_read_only_file_system_is_a_note(tmp_path, monkeypatch):
    """A server in a container has one and needs no profile."""
    mounted = SimpleNamespace(f_flag=os.ST_RDONLY)
    monkeypatch.setattr(installation.os, "statvfs", lambda _place: mounted)
    monkeypatch.setattr(installation.os, "access", lambda _place, _mode: False)
    monkeypatch.setenv("R1DESK_PROFILE", str(tmp_path))
    assert installation.profile_finding(tmp_path).verdict is Severity.NOTE
    monkeypatch.delenv("R1DESK_PROFILE")
    assert installation.profile_finding(tmp_path).verdict is Severity.PROBLEM


def test_a_drive_is_measured_with_a_model_of_its_own(tmp_path, monkeypatch):
    starter = tiny_llama(tmp_path / "starter.gguf")
    monkeypatch.setattr(installation, "starter_model", lambda: starter)
    folder = tmp_path / "models"
    assert installation.readable_on(folder) == starter
    folder.mkdir()
    mine = tiny_llama(folder / "mine.gguf")
    assert installation.readable_on(folder) == mine
    stat = Path.stat

    def elsewhere(path: Path, **options: bool) -> os.stat_result:
        found = stat(path, **options)
        other = [*found[:2], found.st_dev + 1, *found[3:]] if path in (starter, mine) else found
        return os.stat_result(other)

    monkeypatch.setattr(Path, "stat", elsewhere)
    assert installation.readable_on(folder) is None


def test_a_full_drive_is_told_before_a_model_is_fetched(tmp_path, monkeypatch):
    class Usage:
        free = 100 << 20

    monkeypatch.setattr("shutil.disk_usage", lambda _folder: Usage)
    assert installation.free_space_finding(tmp_path).verdict is Severity.WARNING


def test_a_broken_model_is_named_with_its_reason(own_profile: Path) -> None:
    folder = own_profile / "models"
    folder.mkdir(parents=True)
    (folder / "broken.gguf").write_bytes(b"")
    found = [f for f in installation.check_drives() if f.key == "model"]
    assert [f.title for f in found] == ["broken"]
    assert "empty" in found[0].todo


@pytest.mark.parametrize(
    ("version", "parts"),
    [(0, "files"), (1, "truncating other files"), (3, "signals to other programs"), (6, "")],
)
def test_what_an_old_landlock_cannot_refuse_is_a_note(version: int, parts: str) -> None:
    found = installation.process_lock_finding(missing_of_landlock(version))
    assert found.verdict is (Severity.NOTE if parts else Severity.OK)
    assert parts in found.value
