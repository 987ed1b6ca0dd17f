from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from command import environment


def says(code: str, *, terminal: bool, encoding: str = "utf-8") -> bytes:
    """What a program writes to standard output and error with our functions."""
    command = [sys.executable, "-c", f"from deepseek_r1.cli import output as o; {code}"]
    env = environment(PYTHONIOENCODING=encoding)
    if not terminal:
        return subprocess.run(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True
        ).stdout
    ours, its = os.openpty()
    process = subprocess.Popen(command, env=env, stdout=its, stderr=its)
    process.wait(timeout=30)
    os.close(its)
    text = os.read(ours, 65536)
    os.close(ours)
    return text


HOSTILE = r"o.answer('a\x1b]52;c;aGk=\x07b\x9bc\td')"
posix = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")


@posix
def test_a_terminal_gets_no_control_characters_of_the_models():
    assert says(HOSTILE, terminal=True) == b"a]52;c;aGk=bc\td"


def test_a_file_gets_the_text_as_it_is():
    assert says(HOSTILE, terminal=False) == "a\x1b]52;c;aGk=\x07b\x9bc\td".encode()


@posix
def test_thinking_is_dimmed_on_a_terminal():
    assert says("o.thinking('hm')", terminal=True) == b"\x1b[2mhm\x1b[0m"


def test_thinking_and_progress_are_for_those_who_watch():
    assert says("o.thinking('hm'); o.status('12 %')", terminal=False) == b""


CHINESE = "o.result_json({'text': '天空 \U0001f433'})"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_json_survives_any_encoding(encoding):
    written = says(CHINESE, terminal=False, encoding=encoding)
    assert json.loads(written.decode(encoding)) == {"text": "天空 🐳"}


def test_an_answer_in_an_old_encoding_has_question_marks_and_no_crash():
    assert says("o.answer('天空 ok')", terminal=False, encoding="ascii") == b"?? ok"
