#!/usr/bin/env python3
"""Proves that a bundle works: starts it as a user would, asks it something, reads the answer.

    python3 installer/bundle/smoke.py dist/r1desk [--picture FILE] [--chroot FOLDER] [--json]

1. The command line answers a question with the starter model, with an empty environment.
2. On Linux the window opens under Xvfb, a question is typed into it by keyboard, the answer is read
   from the profile's database, the screen is photographed, the window is closed by keyboard.
   Elsewhere the window only has to open, make its profile and start the engine.

With --chroot both run inside that folder, a bare Debian made by bare_debian.sh (needs root).
Needs Xvfb, xdotool and ImageMagick on Linux. Only the standard library is used.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

QUESTION = "What is the capital of France?"
START_WAIT_S = 60
ANSWER_WAIT_S = 120
END_WAIT_S = 15
POLL_S = 0.02
PLAIN_USER = 1000  # inside a bare system
TITLE = "R1 Desk"


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
    parser.add_argument("--chroot", type=Path, help="a bare system to run inside")
    parser.add_argument("--json", action="store_true", help="the findings as one JSON object")
    asked = parser.parse_args()
    try:
        with prepared(asked.bundle.absolute(), asked.chroot) as place:
            findings = {"command_line": ask_command_line(place)}
            if sys.platform.startswith("linux"):
                findings["window"] = ask_window(place, asked.picture)
            else:
                findings["window"] = open_window(place)
    except SmokeFailed as failed:
        print(f"The bundle failed: {failed}", file=sys.stderr)
        return 1
    if asked.json:
        print(json.dumps(findings, ensure_ascii=False))
    else:
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


def ask_window(place: Place, picture: Path | None) -> dict[str, Any]:
    """A chat by keyboard under Xvfb."""
    with display() as name, window(place, DISPLAY=name, QT_QPA_PLATFORM="xcb") as process:
        started = time.monotonic()
        shown = until(lambda: find_window(name), process, START_WAIT_S, "no window came")
        visible_s = time.monotonic() - started
        until(lambda: engine_of(process), process, START_WAIT_S, "no engine was started")
        keys(name, "windowfocus", "--sync", shown)
        keys(name, "type", "--delay", "20", QUESTION)
        keys(name, "key", "Return")
        sent = time.monotonic()
        answer = until(
            lambda: stored_answer(place.home / "profile"),
            process,
            ANSWER_WAIT_S,
            "no answer was stored",
        )
        answered_s = time.monotonic() - sent
        time.sleep(1)  # for the last drawing
        if picture is not None:
            photograph(name, picture)
        engine = engine_of(process)
        keys(name, "key", "ctrl+q")
        try:
            status = process.wait(END_WAIT_S)
        except subprocess.TimeoutExpired as error:
            raise SmokeFailed("the window did not close on Ctrl+Q") from error
    if status != 0:
        raise SmokeFailed(f"the window ended with {status}")
    if engine is not None and Path(f"/proc/{engine}").exists():
        raise SmokeFailed("the engine outlived its window")
    return {"visible_s": round(visible_s, 2), "answered_s": round(answered_s, 2), "answer": answer}


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


@contextmanager
def display() -> Iterator[str]:
    """An X server of its own; gives its name."""
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1366x768x24", "-nolisten", "tcp"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as numbers:
            yield ":" + numbers.readline().strip()
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(END_WAIT_S)


def until(found: Callable[[], Any], process: Any, wait_s: float, otherwise: str) -> Any:
    """What `found` gives once that is true. Raises SmokeFailed in time or when the process ends."""
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        if (value := found()) is not None and value is not False:
            return value
        if process.poll() is not None:
            raise SmokeFailed(f"{otherwise}: it ended with {process.returncode}")
        time.sleep(POLL_S)
    raise SmokeFailed(f"{otherwise} in {wait_s} s")


def find_window(name: str) -> str | None:
    """The visible window's number."""
    search = ["xdotool", "search", "--onlyvisible", "--name", TITLE]
    said = subprocess.run(
        search, env=os.environ | {"DISPLAY": name}, capture_output=True, text=True, check=False
    )
    return said.stdout.split()[-1] if said.stdout.strip() else None


def keys(name: str, *arguments: str) -> None:
    """Something typed on the display's keyboard."""
    subprocess.run(["xdotool", *arguments], env=os.environ | {"DISPLAY": name}, check=True)


def photograph(name: str, picture: Path) -> None:
    """The whole screen as a PNG file."""
    picture.parent.mkdir(parents=True, exist_ok=True)
    command = ["import", "-display", name, "-window", "root", str(picture)]
    subprocess.run(command, check=True)


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


def stored_answer(profile: Path) -> str | None:
    """The finished answer in the profile's database, if there is one yet.

    The window holds its database alone, so a copy is read. One that was taken in the middle of a
    write cannot be; the next one can.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in ("conversations.db", "conversations.db-wal"):
            if (profile / name).is_file():
                shutil.copy(profile / name, folder)
        try:
            with closing(sqlite3.connect(Path(folder) / "conversations.db")) as store:
                rows = store.execute(
                    "SELECT content FROM messages WHERE role = 'assistant' AND state = 'complete'"
                ).fetchall()
        except sqlite3.DatabaseError:
            return None
    return rows[0][0].strip() if rows else None


if __name__ == "__main__":
    sys.exit(main())
