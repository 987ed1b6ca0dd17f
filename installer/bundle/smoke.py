#!/usr/bin/env python3
"""Proves that a bundle works: starts it as a user would, asks it something, reads the answer.

    python3 installer/bundle/smoke.py dist/r1desk [--picture FILE] [--wayland | --chroot FOLDER]

1. The command line answers a question with the starter model, with an empty environment.
2. On Linux the window opens under Xvfb, a question is typed into it by keyboard, question and
   answer are read from the profile's database, the screen is photographed, the window is closed by
   keyboard. Elsewhere the window only has to open, make its profile and start the engine.

With --wayland the window opens on a Wayland desktop instead of a bare X server. With --chroot both
run inside that folder, a bare Debian made by bare_debian.sh (needs root). What is needed on Linux
stands in screen.py. Only the standard library is used.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
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
    """The bundle did not do what it has to do; the text says what."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bundle runs. Paths are those of this machine; `inside` gives the program's view."""

    bundle: Path
    home: Path
    root: Path | None

    def command(self, program: str, *arguments: str) -> list[str]:
        """The command line of one of the two programs."""
        suffix = ".exe" if os.name == "nt" else ""
        started = [self.inside(self.bundle / (program + suffix)), *arguments]
        if self.root is None:
            return started
        chroot = shutil.which("chroot") or "chroot"
        return [chroot, f"--userspec={PLAIN_USER}:{PLAIN_USER}", str(self.root), *started]

    def inside(self, path: Path) -> str:
        """`path` as the program sees it."""
        return str(path) if self.root is None else "/" + str(path.relative_to(self.root))

    def environment(self, **more: str) -> dict[str, str]:
        """Next to nothing, and no Python on the path."""
        base = {"HOME": self.inside(self.home), "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"}
        if self.root is None:
            base["PATH"] = self.inside(self.home)
        for name in ("SYSTEMROOT", "TEMP", "TMP", "USERPROFILE", "LOCALAPPDATA"):  # Windows
            if name in os.environ:
                base[name] = os.environ[name]
        return base | {"R1DESK_PROFILE": self.inside(self.home / "profile")} | more


def main() -> int:
    """Run what the command line asks for; 1 when the bundle fails."""
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
            findings = {} if asked.window_only else {"command_line": ask_command_line(place)}
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
    """A home to run in, and inside a bare system also the bundle. Both are removed afterwards."""
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
    """What a running system has beside its files: processes, devices, the display's sockets."""
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
    """Where it says it runs, and one answer."""
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


def run(place: Place, *arguments: str) -> str:
    """What `deepseek-r1` prints. Raises SmokeFailed where it fails."""
    command = place.command("deepseek-r1", *arguments)
    done = subprocess.run(
        command, env=place.environment(), capture_output=True, timeout=ANSWER_WAIT_S, check=False
    )
    # The doctor's 1 is a finding about this machine, which its report names.
    if done.returncode != 0 and not (arguments[0] == "doctor" and done.returncode == 1):
        raise SmokeFailed(f"{arguments[0]} ended with {done.returncode}: {done.stderr.decode()}")
    return done.stdout.decode("utf-8")


def ask_window(place: Place, picture: Path | None, *, wayland: bool = False) -> dict[str, Any]:
    """A chat by keyboard on a screen that nobody sees."""
    facts: dict[str, Any] = {}
    with (
        screen.wayland() if wayland else screen.x11() as desktop,
        window(place, **desktop.environment) as process,
    ):
        started = time.monotonic()
        if not wayland:  # where xdotool sees no single windows
            shown = until(lambda: desktop.window(TITLE), process, START_WAIT_S, "no window came")
            facts["visible_s"] = round(time.monotonic() - started, 2)
            facts["read_from_disk_mib"] = round(read_from_disk(process.pid) / MIB)
            desktop.keys("windowfocus", "--sync", shown)
        until(lambda: engine_of(process), process, START_WAIT_S, "no engine was started")
        facts |= ask(place, desktop, process)
        if picture is not None:
            desktop.photograph(picture)
        leave(desktop, process)
    return facts


def ask(place: Place, desktop: screen.Screen, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Type the question; read the first words and the end of the answer from the database."""
    profile = place.home / "profile"
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


def leave(desktop: screen.Screen, process: subprocess.Popen[bytes]) -> None:
    """Close the window by keyboard; the engine has to end with it."""
    engine = engine_of(process)
    desktop.keys("key", "ctrl+q")
    try:
        status = process.wait(END_WAIT_S)
    except subprocess.TimeoutExpired as error:
        raise SmokeFailed("the window did not close on Ctrl+Q") from error
    if status != 0:
        raise SmokeFailed(f"the window ended with {status}")
    if engine is not None and Path(f"/proc/{engine}").exists():
        raise SmokeFailed("the engine outlived its window")


def open_window(place: Place) -> dict[str, Any]:
    """The window has to stay open with a profile made, where nobody can type into it."""
    with window(place) as process:
        database = place.home / "profile" / "conversations.db"
        started = time.monotonic()
        until(database.is_file, process, START_WAIT_S, "no profile was made")
        opened_s = time.monotonic() - started
        time.sleep(5)
        if process.poll() is not None:
            raise SmokeFailed(f"the window ended with {process.returncode}")
    return {"opened_s": round(opened_s, 2)}


@contextmanager
def window(place: Place, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """The window's process; ended with this context."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            place.command("r1desk"),
            env=place.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
        try:
            yield process
        except SmokeFailed as failed:
            said.seek(0)
            raise SmokeFailed(
                f"{failed}. It said: {said.read().decode(errors='replace')}"
            ) from None
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(END_WAIT_S)


def until(found: Callable[[], Any], process: Any, wait_s: float, otherwise: str) -> Any:
    """What `found` gives once that is something. Raises SmokeFailed in time or with the process."""
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        if value := found():
            return value
        if process.poll() is not None:
            raise SmokeFailed(f"{otherwise}: it ended with {process.returncode}")
        time.sleep(POLL_S)
    raise SmokeFailed(f"{otherwise} in {wait_s} s")


def read_from_disk(process: int) -> int:
    """Bytes that it had to fetch because they were not in memory."""
    counts = Path(f"/proc/{process}/io").read_text(encoding="ascii").splitlines()
    return int(next(line for line in counts if line.startswith("read_bytes")).split()[1])


def engine_of(process: subprocess.Popen[bytes]) -> int | None:
    """The engine's process, a child of the window's."""
    said = subprocess.run(
        ["ps", "--ppid", str(process.pid), "-o", "pid=,args="],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line.split() for line in said.stdout.splitlines() if "--engine-host" in line]
    return int(lines[0][0]) if lines else None


if __name__ == "__main__":
    sys.exit(main())
