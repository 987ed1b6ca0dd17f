"""`deepseek-r1 convert`: both spellings, the result alone on standard output, exit statuses."""

import json
import signal
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from deepseek_r1.formats.gguf import read_header
from support import command
from support.patience import PATIENCE_S, wait_until
from support.terminal import on_terminal

pytestmark = pytest.mark.integration

run = partial(command.run, "convert")


def test_the_published_spelling_works(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.gguf"
    done = run("--input", folder, "--output", target, "--precision", "int8", "--memory_budget=512")
    assert (done.returncode, done.stderr) == (0, "")
    assert read_header(target).quantisation == "Q8_0"
    assert "sha256" in done.stdout


def test_json_is_the_only_thing_on_standard_output(starter: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.gguf"
    done = run(starter, target, "-p", "q4_0", "--memory-budget", 512, "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert report["bytes"] == target.stat().st_size
    assert 0 < report["memory"]["peak_mb"] < report["memory"]["budget_mb"] == 512
    assert "bits per weight" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("SOURCE",), 2, "--output is missing"),
        ((), 2, "--input is missing"),
        (("SOURCE", "TARGET", "--input", "SOURCE"), 2, "given twice"),
        (("SOURCE", "TARGET", "-p", "int9"), 2, "no precision"),
        (("SOURCE", "TARGET", "--memory-budget", "1"), 2, "memory-budget"),
        (("NOTHING", "TARGET"), 3, "cannot be converted"),
        (("SOURCE", "SOURCE"), 3, "cannot be written"),
    ],
)
def test_each_refusal_has_its_status_and_a_sentence(folder, tmp_path, arguments, status, words):
    paths = {"SOURCE": folder, "TARGET": tmp_path / "out.gguf", "NOTHING": tmp_path / "nothing"}
    done = command.run_here("convert", *(paths.get(each, each) for each in arguments))
    assert (done.returncode, done.stdout) == (status, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_with_the_name_of_the_part_is_neither_read_nor_deleted(starter, tmp_path):
    part, target = tmp_path / "out.gguf.part", tmp_path / "out.gguf"
    part.write_bytes(starter.read_bytes())
    for source, words in ((part, "is the input itself"), (starter, "exists already")):
        done = command.run_here("convert", source, target, "-p", "q4_0")
        assert (done.returncode, done.stdout) == (3, "")
        assert f"{part} {words}" in done.stderr
    assert part.read_bytes() == starter.read_bytes()
    assert not target.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="uses a pseudo terminal")
def test_a_terminal_sees_a_bar(starter: Path, tmp_path: Path) -> None:
    words = [*command.COMMAND, "convert", str(starter), str(tmp_path / "out.gguf"), "-p", "q4_0"]
    with on_terminal(words, command.environment()) as terminal:
        at = terminal.wait_for("Writing")
        terminal.wait_for("━", at)
        assert terminal.ended() == 0


def test_an_interrupted_command_says_how_to_go_on(starter: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.gguf"
    child = command.start("convert", starter, target, "-p", "q4_k", "--threads", "1")
    part = tmp_path / "out.gguf.part"
    wait_until(part.exists)
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=PATIENCE_S)
    assert child.returncode == 130
    assert "again to continue" in said
    assert not target.exists()
    assert part.exists()
