"""The output appears whole or not at all, and a run that was ended goes on where it was."""

import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deepseek_r1.convert import gguf_writer as output_module
from deepseek_r1.convert.errors import (
    BudgetTooSmallToConvert,
    DiskTooSmall,
    OutputBusy,
    OutputInTheWay,
    OutputIsInput,
    OutputUnwritable,
)
from deepseek_r1.convert.gguf_writer import Output
from deepseek_r1.convert.job import ConversionRequest, ConversionStage, convert
from deepseek_r1.convert.precision import precision_named
from support.budgets import ROOMY_MIB
from support.patience import PATIENCE_S, wait_until

pytestmark = pytest.mark.integration


class Ended(BaseException):
    """Stands for Ctrl-C."""


def end_at(share: float):
    def on_progress(stage: ConversionStage, done: int, total: int) -> None:
        if stage is ConversionStage.WRITING and done > share * total:
            raise Ended

    return on_progress


def wish_for(source: Path, target: Path, precision: str = "int8", **more) -> ConversionRequest:
    return ConversionRequest(
        source, target, precision_named(precision), ROOMY_MIB, threads=1, **more
    )


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out.gguf"


def test_the_digest_is_that_of_the_file(folder: Path, to_gguf, tmp_path: Path) -> None:
    converted = to_gguf(folder, "int8")
    raw = converted.path.read_bytes()
    assert converted.sha256 == hashlib.sha256(raw).hexdigest()
    assert converted.nbytes == len(raw)
    assert sorted(each.name for each in tmp_path.iterdir() if each.is_file()) == ["out.gguf"]


def test_the_digest_of_the_source_is_that_of_sha256sum(starter: Path, to_gguf) -> None:
    assert (
        to_gguf(starter, "q4_1").source_sha256 == hashlib.sha256(starter.read_bytes()).hexdigest()
    )


def test_the_same_wish_gives_the_same_bytes(folder: Path, to_gguf) -> None:
    assert to_gguf(folder, "mixed").sha256 == to_gguf(folder, "mixed", "again.gguf").sha256


def test_an_existing_file_is_kept_unless_forced(folder: Path, to_gguf, tmp_path: Path) -> None:
    (tmp_path / "out.gguf").write_text("precious")
    with pytest.raises(OutputInTheWay):
        to_gguf(folder)
    assert (tmp_path / "out.gguf").read_text() == "precious"
    to_gguf(folder, force=True)
    assert (tmp_path / "out.gguf").read_bytes()[:4] == b"GGUF"


def test_the_input_is_never_written_over(starter: Path, folder: Path, to_gguf) -> None:
    path = to_gguf(folder).path
    with pytest.raises(OutputIsInput):
        convert(wish_for(path, path, force=True))
    link = path.with_name("link.gguf")
    link.symlink_to(path)
    with pytest.raises(OutputIsInput):
        convert(wish_for(path, link, force=True))


def test_a_folder_that_is_not_there_or_not_ours_is_named(folder, tmp_path, monkeypatch):
    with pytest.raises(OutputUnwritable, match="No such file"):
        convert(wish_for(folder, tmp_path / "nowhere" / "out.gguf"))
    with pytest.raises(OutputUnwritable, match="directory"):
        convert(wish_for(folder, tmp_path))
    monkeypatch.setattr(os, "access", lambda *_a, **_k: False)  # root may write everywhere
    with pytest.raises(OutputUnwritable, match="denied"):
        convert(wish_for(folder, tmp_path / "out.gguf"))


def test_a_disk_too_small_is_noticed_before_writing(folder, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(output_module.shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(DiskTooSmall):
        convert(wish_for(folder, tmp_path / "out.gguf"))
    assert not (tmp_path / "out.gguf").exists()


@pytest.mark.slow
def test_a_disk_that_fills_up_leaves_what_is_sound(starter, target, monkeypatch):
    written = 0
    write = Output.write

    def full(self: Output, piece) -> None:
        nonlocal written
        written += len(piece)
        if written > 20_000_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, piece)

    with monkeypatch.context() as patch:
        patch.setattr(Output, "write", full)
        with pytest.raises(DiskTooSmall):
            convert(wish_for(starter, target, "q4_0"))
    assert not target.exists()
    converted = convert(wish_for(starter, target, "q4_0"))
    assert converted.resumed_bytes > 10_000_000


def test_two_conversions_do_not_write_the_same_file(folder: Path, target: Path) -> None:
    with Output(target).locked(), pytest.raises(OutputBusy):
        convert(wish_for(folder, target))


TAKE_IT_OFTEN = """
import os, sys, time
from pathlib import Path
from deepseek_r1.convert.errors import OutputBusy
from deepseek_r1.convert.gguf_writer import Output

target, times = Path(sys.argv[1]), int(sys.argv[2])
witness = target.with_name("held")
while times:
    try:
        with Output(target).locked():
            os.close(os.open(witness, os.O_CREAT | os.O_EXCL))  # fails where another one has it too
            witness.unlink()
        times -= 1
    except OutputBusy:
        pass
"""


@pytest.mark.slow
def test_the_lock_is_one_processs_at_a_time_and_leaves_nothing(tmp_path: Path) -> None:
    code = [sys.executable, "-c", TAKE_IT_OFTEN, str(tmp_path / "out.gguf"), "1200"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    running = [subprocess.Popen(code, env=env) for _ in range(2)]
    assert [each.wait(PATIENCE_S) for each in running] == [0, 0]
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_goes_on_too(starter: Path, target: Path, tmp_path: Path) -> None:
    whole = convert(wish_for(starter, tmp_path / "whole.gguf", "q4_0"))
    program = (
        "import sys; from pathlib import Path; from deepseek_r1.convert import gguf_writer;"
        "from deepseek_r1.convert.job import ConversionRequest, convert;"
        "from deepseek_r1.convert.precision import precision_named;"
        "gguf_writer._SAVE_EVERY_BYTES = 1 << 20;"
        "convert(ConversionRequest("
        "Path(sys.argv[1]), Path(sys.argv[2]), precision_named('q4_0'), 512))"
    )
    journal = tmp_path / "out.gguf.part.json"
    child = subprocess.Popen([sys.executable, "-c", program, str(starter), str(target)])
    wait_until(lambda: journal.exists() and json.loads(journal.read_text())["nbytes"] > 10_000_000)
    child.kill()
    child.wait()
    assert not target.exists()
    again = convert(wish_for(starter, target, "q4_0"))
    assert again.resumed_bytes > 10_000_000
    assert again.sha256 == whole.sha256


@pytest.mark.parametrize("damage", ["part", "journal", "source", "other wish"])
def test_what_does_not_fit_any_more_is_done_anew(folder, target, tmp_path, damage):
    with pytest.raises(Ended):
        convert(wish_for(folder, target), end_at(0.8))
    part, journal = tmp_path / "out.gguf.part", tmp_path / "out.gguf.part.json"
    match damage:
        case "part":
            with part.open("r+b") as file:
                file.seek(20_000)
                file.write(b"\xff\xfe\xfd")
        case "journal":
            journal.write_text('{"nbytes": 5')
        case "source":
            os.utime(folder / "model.safetensors", ns=(1, 1))
    wish = wish_for(folder, target, "f16" if damage == "other wish" else "int8")
    again = convert(wish)
    fresh = convert(wish_for(folder, tmp_path / "fresh.gguf", wish.precision.name))
    assert (again.resumed_bytes, again.sha256) == (0, fresh.sha256)


def test_a_budget_that_is_too_small_is_named(folder: Path, tmp_path: Path) -> None:
    wish = ConversionRequest(folder, tmp_path / "out.gguf", precision_named("int8"), 16, threads=1)
    with pytest.raises(BudgetTooSmallToConvert):
        convert(wish)
