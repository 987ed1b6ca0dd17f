"""A start without a screen: the chat goes on in the terminal, or one question is answered."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from r1desk.platform.display import missing_packages
from support.terminal import on_terminal

SOURCE = Path(__file__).resolve().parents[2] / "app"
WINDOW = [sys.executable, "-m", "r1desk"]
SCREEN_VARIABLES = {
    "DISPLAY", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE", "XDG_RUNTIME_DIR", "QT_QPA_PLATFORM",
}  # fmt: skip

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have a screen")


def environment(**extra: str) -> dict[str, str]:
    own = {key: value for key, value in os.environ.items() if key not in SCREEN_VARIABLES}
    return own | {"PYTHONPATH": str(SOURCE), "LC_ALL": "C.UTF-8", "LANGUAGE": ""} | extra


def from_pipe(program: Sequence[str] = WINDOW, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        program,
        env=environment(**extra),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


@pytest.fixture
def x11_display() -> Iterator[str]:
    """A display that is connected to and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1] - 6000}"


@pytest.fixture
def wayland_display(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a Wayland session."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "wayland-7"))
        server.listen()
        yield {"WAYLAND_DISPLAY": "wayland-7", "XDG_RUNTIME_DIR": str(tmp_path)}


@pytest.fixture
def without(tmp_path: Path):
    """Makes system libraries unusable for a program that gets the environment returned."""

    def spoil(*libraries: str) -> dict[str, str]:
        folder = tmp_path / "spoilt"
        folder.mkdir()
        for library in libraries:
            (folder / library).write_bytes(b"no library")
        return {"LD_LIBRARY_PATH": str(folder)}

    return spoil


@pytest.mark.integration
def test_without_a_terminal_the_model_answers_one_question_and_more_commands_are_named():
    ended = from_pipe()
    assert ended.returncode == 0, ended.stderr
    assert len(ended.stdout.split()) > 1
    assert "There is no screen here" in ended.stderr
    for command in ("generate 'Why is the sky blue?'", "chat", "serve", "--help"):
        assert re.search(rf"deepseek-r1 {re.escape(command)}", ended.stderr)
    assert "Qt" not in ended.stderr


@pytest.mark.parametrize("display", [{}, {"DISPLAY": ":4999"}, {"DISPLAY": ":no"}])
def test_without_a_screen_a_model_that_cannot_answer_is_an_exit_status(tmp_path, display):
    ended = from_pipe([*WINDOW, str(tmp_path / "nowhere.gguf")], **display)
    assert ended.returncode == 3
    assert "There is no screen here" in ended.stderr
    assert "nowhere.gguf does not exist" in ended.stderr


@pytest.mark.integration
def test_in_a_terminal_the_chat_goes_on_there() -> None:
    with on_terminal(WINDOW, environment()) as terminal:
        terminal.wait_for("There is no screen here, so you can chat in this terminal.")
        prompt = terminal.wait_for("› ")
        terminal.type("/think\n")
        terminal.wait_for("› ", prompt)
        terminal.type("/quit\n")
        assert terminal.ended() == 0


def test_the_chat_is_with_the_model_that_the_window_was_started_for(tmp_path: Path) -> None:
    with on_terminal([*WINDOW, str(tmp_path / "nowhere.gguf")], environment()) as terminal:
        assert terminal.ended() == 3
        assert "nowhere.gguf does not exist" in terminal.output


def test_on_x11_missing_libraries_are_named_by_their_packages(x11_display: str, without) -> None:
    lost = without("libxcb-cursor.so.0", "libxcb-keysyms.so.1")
    ended = from_pipe(DISPLAY=x11_display, **lost)
    assert ended.returncode == 1
    assert "libxcb-cursor0" in ended.stderr
    assert "libxcb-keysyms1" in ended.stderr
    assert "apt install" in ended.stderr
    assert "platform plugin" not in ended.stderr


def test_on_wayland_missing_libraries_are_named_by_their_packages(wayland_display, without):
    ended = from_pipe(**wayland_display, **without("libwayland-cursor.so.0"))
    assert ended.returncode == 1
    assert "libwayland-cursor0" in ended.stderr
    assert "libxcb" not in ended.stderr


def test_a_platform_asked_for_by_name_needs_no_screen() -> None:
    code = "from r1desk.platform.display import platforms; print(platforms())"
    done = from_pipe([sys.executable, "-c", code], QT_QPA_PLATFORM="vnc:size=800x600;offscreen")
    assert done.returncode == 0
    assert done.stdout == "['vnc', 'offscreen']\n"


def test_a_start_that_qt_ends_says_why_in_the_terminal(tmp_path: Path) -> None:
    if packages := missing_packages(["xcb"]):
        pytest.skip(f"Qt's xcb platform needs {', '.join(packages)}")
    ended = from_pipe(DISPLAY=":no", QT_QPA_PLATFORM="xcb", R1DESK_PROFILE=str(tmp_path))
    assert ended.returncode != 0
    assert "no Qt platform plugin could be initialized" in ended.stderr
    assert "could not connect to display :no" in (tmp_path / "logs" / "window.log").read_text()
    assert str(tmp_path / "logs" / "window.log") in ended.stderr
