#!/usr/bin/env python3
"""Proves that a bundle works: starts it as a user would, asks it something, reads the answer.

    python3 installer/bundle/smoke.py dist/r1desk [--picture FILE] [--wayland | --chroot FOLDER]

1. The command line answers a question with the starter model, with an empty environment.
2. The server answers the same question over HTTP.
3. On Linux the window opens under Xvfb, a question is typed into it by keyboard, question and
   answer are read from the profile's database, the screen is photographed, the window is closed by
   keyboard. Elsewhere the window only has to open, make its profile and start the engine.

With --wayland the window opens on a Wayland desktop instead of a bare X server. With --chroot both
run inside that folder, a bare Debian made by bare_debian.sh (needs root). What is needed on Linux
stands in screen.py. Only the standard library is used.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import screen
from chat_on_disk import stored

QUESTION = "What is the capital of France?"
START_WAIT_S = 60
ANSWER_WAIT_S = 120
# The small model sometimes goes on and on; then it is stopped, as a person would.
LONG_ANSWER_S = 10
SHOWN_LETTERS = 80
END_WAIT_S = 15
POLL_S = 0.02
PLAIN_USER = 1000  # inside a bare system
TITLE = "R1 Desk"
MIB = 1024 * 1024


class SmokeFailed(Exception):
    """The bundle failed a step, which the text names."""


@dataclass(frozen=True, slots=True)
class Place:
    """The place where the bundle runs. Paths are this machine's; `inside` maps them."""

    bundle: Path
    home: Path
    root: Path | None

    def command(self, program: str, *arguments: str) -> list[str]:
        """Returns the command line of one of the two programs."""
        suffix = ".exe" if os.name == "nt" else ""
        started = [self.inside(self.bundle / (program + suffix)), *arguments]
        if self.root is None:
            return started
        chroot = shutil.which("chroot") or "chroot"
        return [chroot, f"--userspec={PLAIN_USER}:{PLAIN_USER}", str(self.root), *started]

    def inside(self, path: Path) -> str:
        """Returns `path` as the program sees it."""
        return str(path) if self.root is None else "/" + str(path.relative_to(self.root))

    @property
    def profile(self) -> Path:
        """The folder of its conversations."""
        return self.home / "profile"

    def environment(self, **more: str) -> dict[str, str]:
        """Returns a nearly empty environment without Python on its path."""
        base = {"HOME": self.inside(self.home), "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"}
        if self.root is None:
            base["PATH"] = self.inside(self.home)
        for name in ("SYSTEMROOT", "TEMP", "TMP", "USERPROFILE", "LOCALAPPDATA"):  # Windows
            if name in os.environ:
                base[name] = os.environ[name]
        return base | {"R1DESK_PROFILE": self.inside(self.profile)} | more

    def engine_of(self, process: subprocess.Popen[bytes]) -> int | None:
        """Returns the id of the engine's process, a child of the window's."""
        said = subprocess.run(
            ["ps", "--ppid", str(process.pid), "-o", "pid=,args="],
            capture_output=True,
            text=True,
            check=False,
        )
        lines = [line.split() for line in said.stdout.splitlines() if "--engine-host" in line]
        return int(lines[0][0]) if lines else None

    def has_ended(self, engine: int) -> bool:
        """Returns whether the engine has ended with its window."""
        return not Path(f"/proc/{engine}").exists()


def main() -> int:
    """Run the requested steps. Returns 1 if the bundle fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--picture", type=Path, help="where the photograph of the screen goes")
    parser.add_argument("--window-only", action="store_true", help="not the command line first")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--wayland", action="store_true", help="on a Wayland desktop (weston)")
    where.add_argument("--chroot", type=Path, help="a bare system to run inside")
    asked = parser.parse_args()
    try:
        with prepared(asked.bundle.absolute(), asked.chroot) as place:
            # The command line reads most of the files, and a start after it is no longer cold.
            findings: dict[str, dict[str, Any]] = {}
            if not asked.window_only:
                findings = {"command_line": ask_command_line(place), "server": ask_server(place)}
            if sys.platform.startswith("linux"):
                findings["window"] = ask_window(place, asked.picture, wayland=asked.wayland)
            else:
                findings["window"] = open_window(place)
    except (SmokeFailed, screen.NoScreen) as failed:
        print(f"The bundle failed: {failed}", file=sys.stderr)
        return 1
    for part, facts in findings.items():
        print(f"{part}: " + "; ".join(f"{name} {value}" for name, value in facts.items()))
    return 0


@contextmanager
def prepared(bundle: Path, chroot: Path | None) -> Iterator[Place]:
    """Yields a place with a temporary home, and in a bare system with the bundle."""
    base = None if chroot is None else str(chroot.absolute() / "home")
    home = Path(tempfile.mkdtemp(prefix="r1desk-smoke-", dir=base))
    try:
        if chroot is None:
            yield Place(bundle, home, None)
        else:
            inside = home / "r1desk"
            shutil.copytree(bundle, inside, symlinks=True)
            os.chown(home, PLAIN_USER, PLAIN_USER)
            with mounted(chroot):
                yield Place(inside, home, chroot.absolute())
    finally:
        shutil.rmtree(home)


@contextmanager
def mounted(root: Path) -> Iterator[None]:
    """Mount processes, devices and the display's sockets in the bare system."""
    sockets = Path("/tmp/.X11-unix")  # noqa: S108 - where X servers make them
    sockets.mkdir(exist_ok=True)
    done: list[Path] = []
    try:
        for place in (Path("/proc"), Path("/dev"), sockets):
            target = root / place.relative_to("/")
            target.mkdir(exist_ok=True)
            subprocess.run(["mount", "--bind", str(place), str(target)], check=True)
            done.append(target)
        yield
    finally:
        for target in reversed(done):
            subprocess.run(["umount", str(target)], check=True)


def ask_command_line(place: Place) -> dict[str, Any]:
    """Returns the kernel that it reports, and one answer."""
    doctor = json.loads(run(place, "doctor", "--json"))
    said = run(place, "generate", QUESTION, "--json", "--max-tokens=24", "--temperature=0")
    answer = json.loads(said)
    if not answer["text"].strip() or answer["completion_tokens"] < 1:
        raise SmokeFailed(f"the command line answered nothing: {answer}")
    return {
        "answer": answer["text"].strip(),
        "kernel": doctor["kernel"]["variant"] or "this machine's own",
        "decode_tok_s": round(answer["timings"]["decode_tok_s"], 1),
    }


def ask_server(place: Place) -> dict[str, Any]:
    """Returns one answer of `deepseek-r1 serve`, and the time until it was ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    question = {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 24}
    started = time.monotonic()
    with running(place, "deepseek-r1", "serve", "--port", str(port)) as process:
        until(lambda: is_ready(port), process, START_WAIT_S, "the server was not ready")
        ready_s = time.monotonic() - started
        status, body = requested(port, "POST", "/v1/chat/completions", json.dumps(question))
        if status != 200:
            raise SmokeFailed(f"the server answered with {status}: {body.decode()}")
    text = json.loads(body)["choices"][0]["message"]["content"].strip()
    if not text:
        raise SmokeFailed("the server answered nothing")
    return {"answer": text, "ready_s": round(ready_s, 2)}


def is_ready(port: int) -> bool:
    """Whether the server has loaded its model."""
    try:
        return requested(port, "GET", "/health/ready")[0] == 200
    except ConnectionError:  # it does not listen yet
        return False


def requested(port: int, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
    """Returns status and body of a response. Raises ConnectionError."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_WAIT_S)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def run(place: Place, *arguments: str) -> str:
    """Returns the output of `deepseek-r1`. Raises SmokeFailed if it fails."""
    command = place.command("deepseek-r1", *arguments)
    try:
        done = subprocess.run(
            command,
            env=place.environment(),
            capture_output=True,
            timeout=ANSWER_WAIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SmokeFailed(f"{arguments[0]} did not end in {ANSWER_WAIT_S} s") from error
    # The doctor's 1 is a finding about this machine, which its report names.
    if done.returncode != 0 and not (arguments[0] == "doctor" and done.returncode == 1):
        raise SmokeFailed(f"{arguments[0]} ended with {done.returncode}: {done.stderr.decode()}")
    return done.stdout.decode("utf-8")


def ask_window(place: Place, picture: Path | None, *, wayland: bool = False) -> dict[str, Any]:
    """Chat by keyboard on an invisible screen."""
    with (
        screen.wayland() if wayland else screen.x11() as desktop,
        running(place, "r1desk", **desktop.environment) as process,
        seen(desktop, picture),
    ):
        # On Wayland xdotool sees no single windows.
        facts = {} if wayland else focus(desktop, process)
        until(lambda: place.engine_of(process), process, START_WAIT_S, "no engine was started")
        facts |= ask(place, desktop, process)
        if picture is not None:
            desktop.photograph(picture)
        leave(place, desktop, process)
    return facts


@contextmanager
def seen(desktop: screen.Screen, picture: Path | None) -> Iterator[None]:
    """Add to a failure inside the block which windows there are, and a screenshot's path."""
    try:
        yield
    except SmokeFailed as failed:
        windows = ", ".join(desktop.titles()) or "none"
        if picture is not None:
            desktop.photograph(picture)
        raise SmokeFailed(f"{failed}. Windows: {windows}. The screen: {picture}") from None


def focus(desktop: screen.Screen, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Wait until the window is visible, and give it the keyboard."""
    started = time.monotonic()
    until(lambda: desktop.window(TITLE), process, START_WAIT_S, "no window came")
    facts = {
        "visible_s": round(time.monotonic() - started, 2),
        "read_from_disk_mib": round(read_from_disk(process.pid) / MIB),
    }
    until(lambda: desktop.focus(TITLE), process, START_WAIT_S, "no window took the keyboard")
    return facts


def ask(place: Place, desktop: screen.Screen, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Type the question, and read the first words and the end of the answer from the database."""
    profile = place.profile
    desktop.keys("type", "--delay", "20", QUESTION)
    desktop.keys("key", "Return")
    sent = time.monotonic()
    until(lambda: stored(profile).answer, process, ANSWER_WAIT_S, "no answer was stored")
    first_words_s = time.monotonic() - sent
    while not stored(profile).ended and time.monotonic() - sent < LONG_ANSWER_S:
        time.sleep(POLL_S)
    if not stored(profile).ended:
        desktop.keys("key", "Escape")
    until(lambda: stored(profile).ended, process, END_WAIT_S, "the answer did not end")
    time.sleep(1)  # for the last drawing
    chat = stored(profile)
    if chat.question != QUESTION:
        raise SmokeFailed(f"typed was {QUESTION!r}, asked was {chat.question!r}")
    shown = chat.answer if len(chat.answer) < SHOWN_LETTERS else chat.answer[:SHOWN_LETTERS] + "…"
    return {"first_words_s": round(first_words_s, 2), chat.state: shown}


def leave(place: Place, desktop: screen.Screen, process: subprocess.Popen[bytes]) -> None:
    """Close the window by keyboard, and check that the engine ends with it."""
    engine = place.engine_of(process)
    desktop.keys("key", "ctrl+q")
    try:
        status = process.wait(END_WAIT_S)
    except subprocess.TimeoutExpired as error:
        raise SmokeFailed("the window did not close on Ctrl+Q") from error
    if status != 0:
        raise SmokeFailed(f"the window ended with {status}")
    if engine is not None and not place.has_ended(engine):
        raise SmokeFailed("the engine outlived its window")


def open_window(place: Place) -> dict[str, Any]:
    """Check that the window stays open and makes a profile, where it cannot be typed into."""
    with running(place, "r1desk") as process:
        database = place.profile / "conversations.db"
        started = time.monotonic()
        until(database.is_file, process, START_WAIT_S, "no profile was made")
        opened_s = time.monotonic() - started
        time.sleep(5)
        if process.poll() is not None:
            raise SmokeFailed(f"the window ended with {process.returncode}")
    return {"opened_s": round(opened_s, 2)}


@contextmanager
def running(
    place: Place, program: str, *arguments: str, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of the programs inside the block."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            place.command(program, *arguments),
            env=place.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
        try:
            yield process
        except SmokeFailed as failed:
            said.seek(0)
            output = said.read().decode(errors="replace").strip() or "nothing"
            raise SmokeFailed(f"{failed}. It printed: {output}") from None
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(END_WAIT_S)


def until(found: Callable[[], Any], process: Any, wait_s: float, otherwise: str) -> Any:
    """Wait until `found` returns a true value. Raises SmokeFailed at a timeout or an exit."""
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        if value := found():
            return value
        if process.poll() is not None:
            raise SmokeFailed(f"{otherwise}: it ended with {process.returncode}")
        time.sleep(POLL_S)
    raise SmokeFailed(f"{otherwise} in {wait_s} s")


def read_from_disk(process: int) -> int:
    """Returns the bytes that the process read from the disk."""
    counts = Path(f"/proc/{process}/io").read_text(encoding="ascii").splitlines()
    return int(next(line for line in counts if line.startswith("read_bytes")).split()[1])


if __name__ == "__main__":
    sys.exit(main())
