"""Headers are read in a process of their own, whatever a file does to it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deepseek_r1.catalogue import header_process
from deepseek_r1.catalogue.header_process import LONGEST_TEXT, HeaderProcess
from deepseek_r1.core.errors import ModelFileMissing, ModelFileUnreadable, NotAModelFile
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.processes import child_environment
from deepseek_r1.formats.gguf import read_header
from support.gguf_files import tiny_llama, tiny_qwen2
from support.patience import PATIENCE_S

pytestmark = pytest.mark.integration
unix = pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")


@pytest.fixture
def process() -> Iterator[HeaderProcess]:
    with HeaderProcess() as process:
        yield process


def test_the_header_is_that_of_the_file_without_long_texts(process: HeaderProcess) -> None:
    starter = starter_model()
    assert starter is not None
    here, there = read_header(starter), process.read_header(starter)
    assert there.tensors == here.tensors
    assert there.template is None
    for name in ("path", "parts", "name", "blocks", "markers", "quantisation", "parameters"):
        assert getattr(there, name) == getattr(here, name)
    assert there.metadata.items() <= here.metadata.items()
    left_out = here.metadata.keys() - there.metadata.keys()
    assert all(len(str(here.metadata[key])) > LONGEST_TEXT for key in left_out)


def test_one_process_reads_file_after_file(process: HeaderProcess, tmp_path: Path) -> None:
    process.read_header(tiny_qwen2(tmp_path / "a.gguf"))
    first = process.process_id
    process.read_header(tiny_qwen2(tmp_path / "模型.gguf"))
    assert process.process_id == first != os.getpid()


@unix
def test_a_name_that_is_not_utf8_is_read(process: HeaderProcess, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff.gguf")
    tiny_qwen2(tmp_path / "a.gguf").rename(path)
    assert process.read_header(path).path == path


def test_what_is_no_model_is_refused_with_its_own_reason(process, tmp_path):
    (tmp_path / "notes.gguf").write_text("# R1, a shopping list")
    with pytest.raises(NotAModelFile):
        process.read_header(tmp_path / "notes.gguf")
    with pytest.raises(NotAModelFile):
        process.check_file(tmp_path / "notes.gguf", False)
    with pytest.raises(ModelFileMissing):
        process.read_header(tmp_path / "gone.gguf")
    process.check_file(tiny_qwen2(tmp_path / "a.gguf"), False)


@unix
def test_a_file_that_ends_the_process_is_refused_and_the_next_one_is_read(process, tmp_path):
    path = tiny_qwen2(tmp_path / "a.gguf")
    process.read_header(path)
    assert process.process_id is not None
    os.kill(process.process_id, signal.SIGKILL)
    with pytest.raises(ModelFileUnreadable, match="SIGKILL"):
        process.check_file(path, True)
    process.check_file(path, True)


@unix
def test_a_file_that_hangs_the_process_is_refused_after_a_while(tmp_path: Path) -> None:
    path = tiny_qwen2(tmp_path / "a.gguf")
    with HeaderProcess(deadline_s=PATIENCE_S) as process:
        process.read_header(path)
        assert process.process_id is not None
        held = psutil.Process(process.process_id)
        process._deadline_s = 0.3
        held.suspend()
        with pytest.raises(ModelFileUnreadable, match="longer"):
            process.check_file(path, True)
        assert process.process_id is None
        held.wait(PATIENCE_S)


def test_a_drive_that_never_answers_holds_up_its_own_file_once(process, tmp_path, monkeypatch):
    sound, far, answers = tiny_qwen2(tmp_path / "a.gguf"), tmp_path / "far.gguf", threading.Event()

    def look(path: Path) -> bool:
        return path != far or answers.wait()

    monkeypatch.setattr(os.path, "lexists", look)
    monkeypatch.setattr(header_process, "DRIVE_S", 0.3)
    for _ in range(2):
        with pytest.raises(ModelFileUnreadable, match="longer"):
            process.read_header(far)
        monkeypatch.setattr(header_process, "DRIVE_S", PATIENCE_S)
    assert process.read_header(sound).path == sound
    answers.set()
    header_process._late.pop(far).join()
    with pytest.raises(ModelFileMissing):
        process.read_header(far)


def test_a_header_is_read_again_where_its_file_has_changed(process, tmp_path):
    path = tiny_qwen2(tmp_path / "a.gguf")
    first = process.read_header(path)
    process.close()
    assert process.read_header(path) is first
    assert process.process_id is None
    tiny_llama(path)
    assert process.read_header(path).architecture == "llama"


OWNER = """
import sys
from pathlib import Path
from deepseek_r1.catalogue.header_process import HeaderProcess
process = HeaderProcess()
process.read_header(Path(sys.argv[1]))
print(process.process_id, flush=True)
sys.stdin.read()
"""


def test_the_process_ends_with_a_killed_owner(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(tiny_qwen2(tmp_path / "a.gguf"))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=child_environment()
    ) as owner:
        assert owner.stdout is not None
        child = psutil.Process(int(owner.stdout.readline()))
        owner.kill()
    gone, _ = psutil.wait_procs([child], timeout=PATIENCE_S)
    assert gone == [child]
