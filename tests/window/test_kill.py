"""`kill -9` of the engine and of the window, at random moments: nothing committed is lost.

The window is the real one with the real starter model, offscreen. What it has stored it tells this
process over a pipe; afterwards the store is opened here and compared. The number of rounds is
`R1_KILL_ROUNDS` (12): a long campaign is the same test with a larger number.
"""

import json
import os
import queue
import random
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import psutil
import pytest

from r1desk.store import MessageState, Profile, Store
from support.patience import PATIENCE_S, wait_until
from window.measured_process import MeasuredProcess

# Quiet: of an answer at most a second may be lost, which the disk must have had.
pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.quiet,
    pytest.mark.timeout(900),
]

ROUNDS = int(os.environ.get("R1_KILL_ROUNDS", "12"))
TAIL_S = 1.0  # what may be lost of a streaming answer
QUESTIONS = [f"Write a very long story about the number {n}." for n in range(40)]


@dataclass
class Window:
    """A running window as seen from outside."""

    process: subprocess.Popen[str]
    facts: queue.Queue[dict[str, Any]]
    reader: threading.Thread
    sent: dict[int, str] = field(default_factory=dict)
    lengths: dict[int, list[tuple[float, int]]] = field(default_factory=dict)
    finished: dict[int, dict[str, Any]] = field(default_factory=dict)
    engines: list[int] = field(default_factory=list)

    def take(self, wait_s: float) -> dict[str, Any] | None:
        """The next fact within `wait_s`, noted; None if there is none."""
        try:
            fact = self.facts.get(timeout=wait_s)
        except queue.Empty:
            return None
        match fact["event"]:
            case "sent":
                self.sent[fact["id"]] = fact["text"]
            case "text":
                self.lengths.setdefault(fact["id"], []).append((fact["t"], fact["length"]))
            case "finished":
                self.finished[fact["id"]] = fact
            case "engine":
                self.engines.append(fact["pid"])
        return fact

    def wait_for(self, event: str, wait_s: float = PATIENCE_S) -> dict[str, Any]:
        """Take facts until one is `event`."""
        end = time.monotonic() + wait_s
        while (left := end - time.monotonic()) > 0:
            fact = self.take(left)
            if fact is not None and fact["event"] == event:
                return fact
        raise AssertionError(f"the window did not say {event!r} within {wait_s} s")

    def end(self) -> None:
        """After the kill: take what was still said, and let go of the pipe."""
        self.process.kill()
        self.process.wait()
        self.reader.join(PATIENCE_S)
        self.drain(0.0)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()

    def drain(self, wait_s: float) -> None:
        """Take facts for `wait_s` seconds."""
        end = time.monotonic() + wait_s
        while (left := end - time.monotonic()) > 0:
            self.take(left)
        while not self.facts.empty():
            self.take(0.0)


def open_window(profile: Path, questions: list[str]) -> Window:
    environment = {**os.environ, "R1DESK_PROFILE": str(profile), "QT_QPA_PLATFORM": "offscreen"}
    command = ["-m", "window.measured_window", "--ask", *questions]
    process = MeasuredProcess(command, environment).popen
    facts: queue.Queue[dict[str, Any]] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.endswith("\n"):
                facts.put(json.loads(line))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    return Window(process, facts, reader)


def kill(pid: int) -> float:
    """kill -9; returns when it happened."""
    psutil.Process(pid).kill()
    return time.monotonic()


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def assert_no_orphan(pids: list[int]) -> None:
    wait_until(lambda: not any(map(alive, pids)), lambda: [pid for pid in pids if alive(pid)])


def assert_nothing_lost(profile: Path, window: Window, killed_at: float) -> None:
    """What the window called stored is there; of a streaming tail at most a second is missing."""
    with Profile.open(profile) as held, Store(held.database) as store:
        for question_id, text in window.sent.items():
            assert store.messages.get(question_id).content == text
        for answer_id, fact in window.finished.items():
            assert store.messages.get(answer_id).content == fact["text"]
        for answer_id, lengths in window.lengths.items():
            due = max((n for t, n in lengths if t <= killed_at - TAIL_S), default=0)
            stored = store.messages.get(answer_id)
            assert len(stored.content) + len(stored.thinking) >= due
            assert stored.state != MessageState.STREAMING
    connection = apsw.Connection(str(profile / "conversations.db"))
    assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_a_killed_window_loses_nothing_and_leaves_no_engine(tmp_path: Path) -> None:
    dice = random.Random(7)
    for round_number in range(ROUNDS // 2):
        profile = tmp_path / f"p{round_number % 5}"  # profiles are reused: they must stay usable
        window = open_window(profile, dice.sample(QUESTIONS, 3))
        try:
            if dice.random() < 0.8:  # else already while it starts and loads
                window.wait_for("text")
            window.drain(dice.uniform(0.0, 1.6))
            if dice.random() < 0.3 and window.engines:  # both at once
                kill(window.engines[-1])
            killed_at = kill(window.process.pid)
        finally:
            window.end()
        assert_no_orphan(window.engines)
        assert_nothing_lost(profile, window, killed_at)


def test_a_killed_engine_costs_an_answer_and_nothing_else(tmp_path: Path) -> None:
    dice = random.Random(11)
    rounds = ROUNDS - ROUNDS // 2
    failures = 0
    for start in range(0, rounds, 2):  # three deaths in five minutes would use up the budget
        deaths = min(2, rounds - start)
        profile = tmp_path / f"e{start}"
        window = open_window(profile, dice.sample(QUESTIONS, 12))
        try:
            for _ in range(deaths):
                window.wait_for("text")
                window.drain(dice.uniform(0.0, 0.7))
                kill(window.engines[-1])
                window.wait_for("engine")  # it goes on by itself, with a new engine
            window.wait_for("text")
            assert len(set(window.engines)) == deaths + 1
        finally:
            killed_at = kill(window.process.pid)
            window.end()
        assert_no_orphan(window.engines)
        assert_nothing_lost(profile, window, killed_at)
        failed = [fact for fact in window.finished.values() if fact["state"] == "failed"]
        assert all(fact["error"] for fact in failed), "the window must say what happened"
        failures += len(failed)
    assert failures >= rounds * 0.8  # the others hit the moment between two answers
