import json
import os
import subprocess
import sys

import pytest

from support.command import environment
from support.patience import PATIENCE_S


def says(code: str, *, terminal: bool, encoding: str = "utf-8") -> bytes:
    """What a program writes to standard output and error with our functions."""
    command = [sys.executable, "-c", f"from deepseek_r1.cli import console as o; {code}"]
    env = environment(PYTHONIOENCODING=encoding)
    if not terminal:
        return subprocess.run(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True
        ).stdout
    ours, its = os.openpty()
    process = subprocess.Popen(command, env=env, stdout=its, stderr=its)
    process.wait(timeout=PATIENCE_S)
    os.close(its)
    text = os.read(ours, 65536)
    os.close(ours)
    return text


HOSTILE = r"o.answer('a\x1b]52;c;aGk=\x07b\x9bc\td')"
posix = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")


@posix
def test_a_terminal_gets_no_control_characters_of_the_models():
    assert says(HOSTILE, terminal=True) == b"a]52;c;aGk=bc\td"


@posix
@pytest.mark.parametrize("function", ["result", "note", "aside", "status"])
def test_names_from_model_files_do_not_control_the_terminal(function):
    written = says(rf"o.{function}('a\x1b]0;X\x07\x1b[2J\x9bb')", terminal=True)
    assert b"a]0;X[2Jb" in written
    assert b"\x1b]" not in written
    assert b"\x1b[2J" not in written


def test_errors_do_not_control_the_terminal():
    code = (
        "from deepseek_r1.core.errors import WrongUsage; o.error(WrongUsage(detail='a\\x1b[2Jb'))"
    )
    assert b"a[2Jb" in says(code, terminal=False)


def test_a_cell_is_one_line():
    code = "o.result(o.cell('a\\x1b[2J\\n b'))"
    assert says(code, terminal=False) == b"a[2J b\n"


def test_a_file_gets_the_text_as_it_is():
    assert says(HOSTILE, terminal=False) == "a\x1b]52;c;aGk=\x07b\x9bc\td".encode()


@posix
def test_thinking_is_dimmed_on_a_terminal():
    assert says("o.thinking('hm')", terminal=True) == b"\x1b[2mhm\x1b[0m"


def test_thinking_and_progress_are_for_those_who_watch():
    assert says("o.thinking('hm'); o.status('12 %')", terminal=False) == b""


WAITING = """
from deepseek_r1.catalogue.download_spec import DownloadPhase, DownloadProgress
from deepseek_r1.cli.progress import file_progress
with file_progress() as on_progress:
    on_progress(DownloadProgress("模型.gguf", DownloadPhase.RECEIVING, 1, 2))
    on_progress(DownloadProgress("模型.gguf", DownloadPhase.WAITING, 1, 2, 0.0, "gone"))
"""


@posix
@pytest.mark.parametrize("terminal", [False, True])
def test_a_wait_is_told_beside_the_bars(terminal):
    assert "模型.gguf: gone. Trying again…" in says(WAITING, terminal=terminal).decode()


CHINESE = "o.result_json({'text': '天空 \U0001f433'})"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_json_survives_any_encoding(encoding):
    written = says(CHINESE, terminal=False, encoding=encoding)
    assert json.loads(written.decode(encoding)) == {"text": "天空 🐳"}


def test_an_answer_in_an_old_encoding_has_question_marks_and_no_crash():
    assert says("o.answer('天空 ok')", terminal=False, encoding="ascii") == b"?? ok"


WITH_CODE_PAGE = """
import io, sys
sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="cp1252", errors="strict")
sys.stdin = io.TextIOWrapper(sys.stdin.buffer, encoding="cp1252", errors="strict")
from deepseek_r1.cli import console
console.prepare_streams()
console.answer(f"天空 {len(sys.stdin.readline())}")
"""


@pytest.mark.parametrize(("chosen", "written"), [("", "天空 2"), ("cp1252", "?? 6")])
def test_a_pipe_is_utf8_where_windows_has_a_code_page_unless_one_was_chosen(chosen, written):
    env = environment(PYTHONIOENCODING=chosen, PYTHONUTF8="1")
    command = [sys.executable, "-c", WITH_CODE_PAGE]
    done = subprocess.run(command, input="天空".encode(), env=env, capture_output=True, check=True)
    assert done.stdout.decode() == written


UNWRITTEN = "The output cannot be written.\n"
FULL = UNWRITTEN + "No space left on device."
CAN_MOUNT = (  # nobody but root can, and root neither where `/` is no mount, as in a chroot
    sys.platform == "linux"
    and os.geteuid() == 0
    and subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode == 0
)
NO_PROC = 'unshare -m sh -c \'mount -t tmpfs none /proc && exec "$0" "$@"\''


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has these devices and limits")
@pytest.mark.integration
@pytest.mark.parametrize(
    ("before", "arguments", "code", "sentences"),
    [
        ("", "generate --max-tokens 2 hi >&-", 1, UNWRITTEN + "It is closed."),
        ("", "generate --max-tokens 2 hi > /dev/full", 1, FULL),
        ("", "--version > /dev/full", 1, FULL),
        ("", "generate --help > /dev/full", 1, FULL),
        ("", "generate <&-", 2, "The question is empty."),
        ("ulimit -v 200000;", "generate hi", 4, "The engine could not be started."),
        pytest.param(
            NO_PROC,
            "generate hi",
            4,
            "The engine could not be started.\nMemory is measured through /proc",
            marks=pytest.mark.skipif(not CAN_MOUNT, reason="mounts"),
        ),
    ],
)
def test_what_the_system_does_not_give_is_named(before, arguments, code, sentences):
    command = f'{before} "{sys.executable}" -m deepseek_r1.cli {arguments}'
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert done.stderr.startswith("Error: " + sentences)
    assert "Install R1 Desk again" not in done.stderr
