"""One window a profile, started for real: a later start raises the first window and ends."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from r1desk.store import Profile, ProfileInUse
from support.engine_script import EngineScript
from support.patience import PATIENCE_S, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow]

TESTS = Path(__file__).resolve().parents[1]
RACERS = 5
# The application itself; a line for each time its window is raised, and for a modal box.
PROGRAM = """
import json, os, sys
from PySide6.QtWidgets import QApplication, QMessageBox
from r1desk.shell import startup
from r1desk.shell.session import Session
from r1desk.shell.main_window import MainWindow
from r1desk.models.controller import ModelController
from deepseek_r1.host import supervisor
supervisor.child_command = lambda _kind: json.loads(os.environ["SCRIPTED_ENGINE"])
def raised(window, real=MainWindow.raise_to_front):
    real(window)
    print("raised", flush=True)
MainWindow.raise_to_front = raised
def boxed(parent, title, text):
    print("box:", text, flush=True)
QMessageBox.warning = QMessageBox.critical = boxed
def chosen(controller, path, real=ModelController.choose):
    print("chosen:", path, flush=True)
    real(controller, path)
ModelController.choose = chosen
def shown(session, real=Session.show):
    real(session)
    session.set_language("zh_CN")
def rebuilt(session, real=Session._replace_window):
    yield from real(session)
    print("rebuilt", flush=True)
if "--then-in-chinese" in sys.argv:
    Session.show, Session._replace_window = shown, rebuilt
sys.exit(startup.run(["r1desk", *sys.argv[1:]]))
"""


@contextmanager
def started(profile: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "R1DESK_PROFILE": str(profile), "QT_QPA_PLATFORM": "offscreen"}
    environment |= {"PYTHONPATH": str(TESTS.parent / "app"), "LANGUAGE": "en"}
    environment["PYTHONIOENCODING"] = "utf-8"  # for the names that are printed
    with tempfile.TemporaryDirectory(prefix="r1desk-engine-") as folder:
        environment["SCRIPTED_ENGINE"] = json.dumps(EngineScript(Path(folder)).command)
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def held(profile: Path) -> bool:
    """True while a window holds the profile."""
    if not (profile / "lock").exists():
        return False
    try:
        Profile.open(profile).close()
    except ProfileInUse:
        return True
    return False


def wait_until_open(process: subprocess.Popen[str], profile: Path) -> None:
    def is_open() -> bool:
        assert process.poll() is None
        return (profile / "conversations.db").exists()  # without touching the lock

    wait_until(is_open)


def lines_until(process: subprocess.Popen[str], wanted: str) -> list[str]:
    assert process.stdout is not None
    lines: list[str] = []
    while wanted not in lines:
        line = process.stdout.readline()
        assert line, lines
        lines.append(line.rstrip("\n"))
    return lines


def test_a_second_start_raises_the_first_window_hands_it_its_file_and_ends_well(
    own_profile: Path, tmp_path: Path
) -> None:
    files = {f"{tmp_path}/模型 two.gguf": f"{tmp_path}/模型 two.gguf"}
    if sys.platform == "linux":  # elsewhere names are text
        files[f"{tmp_path}/four\udcff.gguf"] = f"{tmp_path}/four?.gguf"

    def start_again(*arguments: str) -> None:
        with started(own_profile, *arguments) as second:
            out, _ = second.communicate(timeout=PATIENCE_S)
            assert (second.returncode, out) == (0, "")

    with started(own_profile, str(tmp_path / "one.gguf")) as first:
        lines_until(first, f"chosen: {tmp_path}/one.gguf")
        start_again()
        assert first.stdout is not None
        assert first.stdout.readline() == "raised\n"
        for given, chosen in files.items():
            start_again(given)
            assert "raised" in lines_until(first, f"chosen: {chosen}")
        assert first.poll() is None


def test_a_window_in_another_language_is_handed_files_as_well(own_profile, tmp_path):
    model = tmp_path / "three.gguf"
    with started(own_profile, "--then-in-chinese") as first:
        lines_until(first, "rebuilt")
        with started(own_profile, str(model)) as second:
            assert second.wait(PATIENCE_S) == 0
        lines_until(first, f"chosen: {model}")


def test_a_killed_window_leaves_no_lock_behind(own_profile: Path) -> None:
    for _ in range(2):
        with started(own_profile) as window:
            wait_until_open(window, own_profile)
            window.kill()
            window.wait()
        assert not held(own_profile)


def test_of_windows_started_at_once_exactly_one_stays(own_profile: Path) -> None:
    running = [started(own_profile) for _ in range(RACERS)]
    windows = [each.__enter__() for each in running]
    try:
        wait_until(lambda: sum(w.poll() is None for w in windows) <= 1)
        assert sum(w.poll() is None for w in windows) == 1
        assert held(own_profile)
        ended = [w for w in windows if w.poll() is not None]
        assert {w.returncode for w in ended} == {0}
        said = [w.stdout.read() for w in ended if w.stdout is not None]
        assert set(said) == {""}, "no box that waits for a click"
    finally:
        for each in running:
            each.__exit__(None, None, None)


@pytest.mark.parametrize("place", ["a file", "below a file"])
def test_a_profile_that_cannot_be_a_folder_is_said(tmp_path: Path, place: str) -> None:
    profile = tmp_path / "file" if place == "a file" else tmp_path / "file" / "profile"
    (tmp_path / "file").write_text("in the way")
    with started(profile) as window:
        out, _ = window.communicate(timeout=PATIENCE_S)
        assert window.returncode == 5
        assert out.startswith("box: ")
        assert str(profile) in out
