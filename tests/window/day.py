"""A day in the life of the window, with the mouse and the keyboard of a screen of its own.

    python tests/window/day.py FOLDER [--language zh_CN] [--minutes 30] [--display :32]
                               [--model GGUF] [--scale 2]

Starts Xvfb, openbox and the real application on a new profile, and does with xdotool what people
do in an evening, again and again until the minutes are over: ask, choose a model, attach, find,
export and import, switch during an answer, meet every limit, download and cancel, open each dialog.
FOLDER gets a picture each minute and after each step, `steps.jsonl`, and the profile. Ends with 1
where a step failed or the window holds more than 150 MiB at the end. `--minutes 3` is the short
form. GGUF is a second model to choose; by default only the starter is used.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent / "app"), str(TESTS)]

import psutil

from deepseek_r1.core.i18n import tr, use_language
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.settings import SamplingSettings
from r1desk import preferences as prefs
from support.hostile_server import HostileServer, Reply, Request
from support.hub_server import REPOSITORY, page, tree_of

LIMIT_MIB = 150.0
SIZE = "1366x768"
ANSWER_S = 240.0
PIECE_BYTES, PIECE_PAUSE_S = 1 << 18, 0.05  # of the slow download: 5 MB/s
TEXTS = {
    "en": {
        "code": "Write a Python function that reverses a string.",
        "formula": "Write the quadratic formula in LaTeX between \\[ and \\].",
        "long": "Tell me a long story about a lighthouse, in ten paragraphs.",
        "short": "Name three trees.",
        "word": "lighthouse",
        "again": "And three flowers?",
        "queued": "Name a river.",
    },
    "zh_CN": {
        "code": "用 Python 写一个反转字符串的函数。",
        "formula": "用 LaTeX 写出求根公式，放在 \\[ 和 \\] 之间。",
        "long": "写一个关于灯塔的长故事，分十段。",
        "short": "说出三种树。",
        "word": "灯塔",
        "again": "再说三种花？",
        "queued": "说出一条河。",
    },
}


class StepFailed(Exception):
    """What a person expected did not happen."""


@dataclass
class Screen:
    """An X server with a window manager, for as long as the block lasts."""

    display: str
    size: str = SIZE
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __enter__(self) -> Screen:
        server = ["Xvfb", self.display, "-screen", "0", f"{self.size}x24", "-nolisten", "tcp"]
        self._start(server)
        time.sleep(1.0)
        self._start(["openbox"])
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._started):
            process.terminate()
            process.wait(10)

    @property
    def environment(self) -> dict[str, str]:
        """For processes that are to appear here."""
        return {**os.environ, "DISPLAY": self.display, "QT_QPA_PLATFORM": "xcb"}

    def _start(self, command: list[str]) -> None:
        quiet = subprocess.DEVNULL
        self._started.append(
            subprocess.Popen(command, env=self.environment, stdout=quiet, stderr=quiet)
        )

    def picture(self, path: Path) -> None:
        """Save what is on the screen."""
        command = ["import", "-window", "root", str(path)]
        subprocess.run(command, env=self.environment, check=True, timeout=60)

    def hand(self, *arguments: str) -> None:
        """Let xdotool move, click or type."""
        subprocess.run(["xdotool", *arguments], env=self.environment, check=True, timeout=120)


def of_another_computer(exported: Path) -> Path:
    """A file with the same conversations from another time: what is here is not imported."""
    archive = json.loads(exported.read_text(encoding="utf-8"))
    for conversation in archive["conversations"]:
        conversation["created_at"] += 1.0
    other = exported.with_name(f"other-{exported.name}")
    other.write_text(json.dumps(archive), encoding="utf-8")
    return other


class Person:
    """Looks for things on the screen, clicks and types."""

    def __init__(self, screen: Screen, profile: Path, scale: str) -> None:
        self.screen = screen
        environment = {
            **screen.environment,
            "R1DESK_PROFILE": str(profile),
            "QT_SCALE_FACTOR": scale,
            "PYTHONPATH": os.pathsep.join([str(TESTS.parent / "app"), str(TESTS)]),
        }
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            environment.pop(name, None)
            environment.pop(name.lower(), None)
        self._lock = threading.Lock()
        self.window = subprocess.Popen(
            [sys.executable, "-m", "window.located_window"],
            env=environment,
            cwd=TESTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def call(self, do: str, **arguments: object) -> dict[str, Any]:
        """Send a command to the window and return its reply."""
        assert self.window.stdin is not None
        assert self.window.stdout is not None
        with self._lock:
            self.window.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.window.stdin.flush()
            line = self.window.stdout.readline()
        if not line:
            raise StepFailed("the window has gone")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def facts(self) -> dict[str, Any]:
        """What the window shows now."""
        return self.call("facts")

    def wait(self, what: str, ready: Callable[[dict[str, Any]], bool], seconds: float = 30) -> None:
        """Wait until the facts are so. Raises StepFailed."""
        end = time.monotonic() + seconds
        while not ready(facts := self.facts()):
            if time.monotonic() > end:
                raise StepFailed(f"waited {seconds:.0f} s for: {what}; {facts}")
            time.sleep(0.25)

    def sees(self, text: str, seconds: float = 0.0, kind: str = "QWidget") -> bool:
        """Return whether something of that name is on the screen, now or within the seconds."""
        end = time.monotonic() + seconds
        while not self.call("where", text=text, kind=kind)["found"]:
            if time.monotonic() >= end:
                return False
            time.sleep(0.2)
        return True

    def click(
        self,
        text: str,
        *,
        button: int = 1,
        last: bool = False,
        seconds: float = 10,
        kind: str = "QWidget",
    ) -> None:
        """Move to what is named so and click it. Raises StepFailed."""
        if not self.sees(text, seconds, kind):
            raise StepFailed(f"not on the screen: {text!r}; {self.facts()}")
        place = self.call("where", text=text, last=last, kind=kind)
        x, y = str(round(place["x"])), str(round(place["y"]))
        self.screen.hand("mousemove", x, y)
        time.sleep(0.15)
        self.screen.hand("click", str(button))
        time.sleep(0.35)

    def press(self, *keys: str) -> None:
        """Press keys one after the other, whatever has the focus."""
        self.screen.hand("key", "--delay", "80", *keys)
        time.sleep(0.3)

    def type(self, text: str) -> None:
        """Type, whatever has the focus; xdotool cannot type Chinese, so that is pasted."""
        if text.isascii():
            self.screen.hand("type", "--delay", "25", "--", text)
        else:
            self.call("copy", text=text)
            self.press("ctrl+v")
        time.sleep(0.2)

    def write(self, text: str) -> None:
        """Type a message into the box at the bottom and read it back."""
        self.wait("the box has the keyboard", lambda f: f["focus"] == "ComposerField", 10)
        self.type(text)
        self.wait(f"typed text {text!r}", lambda f: f["typed"] == text, 15)

    def ask(self, text: str) -> None:
        """Send a message and wait for the end of its answer."""
        before = self.facts()["messages"]
        self.write(text)
        self.press("Return")
        self.wait("the message is sent", lambda f: f["messages"] > before, 20)
        self.wait("the answer has ended", has_ended, ANSWER_S)

    def file_dialog(self, path: Path) -> None:
        """Type a path into the open file dialog and confirm it."""
        self.wait("a file dialog", lambda f: f["dialog"] == "QFileDialog", 10)
        self.press("ctrl+a")
        self.type(str(path))
        self.press("Return")
        self.wait("the file dialog is closed", lambda f: f["dialog"] != "QFileDialog", 15)

    def close_dialog(self) -> None:
        """Leave the open dialog with Esc; all its buttons must have been on the screen."""
        self.wait("a dialog", lambda f: bool(f["dialog"]), 15)
        time.sleep(1.0)
        outside = self.facts()["outside"]
        self.press("Escape")
        self.wait("the dialog is closed", lambda f: not f["dialog"], 15)
        if outside:
            raise StepFailed(f"buttons outside the screen: {outside}")


def has_ended(facts: dict[str, Any]) -> bool:
    """Return whether no answer is written or waited for."""
    return not facts["busy"] and facts["state"] not in ("", "streaming", "queued")


class Day:
    """The steps; each is a method whose name is the step's."""

    def __init__(
        self, person: Person, folder: Path, language: str, server: HostileServer, model: Path | None
    ) -> None:
        self.person, self.folder, self.server, self.model = person, folder, server, model
        self.texts = TEXTS[language]
        self.numbers = count(1)
        self.themes_in_turn = cycle((1, 2, 3, 0, 2))  # rows of the list: system, light, dark, …

    def steps(self) -> Iterator[Callable[[], None]]:
        """The first hour's steps once, then the daily ones without an end."""
        yield self.first_start
        yield from cycle(
            [
                self.ask_and_read, self.code, self.choose_the_other_model, self.formula,
                self.attach, self.find_in_chat, self.switch_during_an_answer, self.edit_and_undo,
                self.search, self.export_and_import, self.trash_and_undo, self.large_file,
                self.full_context, self.small_budget, self.download_and_cancel, self.dialogs,
                self.themes, self.text_size, self.narrow_panel, self.choose_the_starter,
            ]
        )  # fmt: skip

    def first_start(self) -> None:
        self.person.click(tr("Use the starter model now"), seconds=60)
        self.person.wait("a model is loaded", lambda f: bool(f["loaded"]), 120)

    def ask_and_read(self) -> None:
        self.person.press("ctrl+n")
        self.person.ask(self.texts["short"])
        self.person.ask(self.texts["again"])

    def code(self) -> None:
        self.person.click(tr("New chat"))
        self.person.ask(self.texts["code"])

    def formula(self) -> None:
        self.person.press("ctrl+n")
        self.person.ask(self.texts["formula"])

    def _choose(self, name: str) -> None:
        self.person.press("ctrl+o")
        self.person.click(tr("On this computer"))
        self.person.click(name, seconds=30)
        if self.person.sees(tr("Use this model")):
            self.person.click(tr("Use this model"))
        if self.person.facts()["dialog"]:
            self.person.press("Escape")
        self.person.wait(f"{name} is loaded", lambda f: f["loaded"].startswith(name), 180)

    def choose_the_other_model(self) -> None:
        if self.model is not None:
            self._choose("Qwen2.5")

    def choose_the_starter(self) -> None:
        self._choose("SmolLM2")

    def attach(self) -> None:
        notes = self.folder / "notes.md"
        notes.write_text("# Notes\n\nThe lamp is painted green.\n", encoding="utf-8")
        self.person.press("ctrl+n", "ctrl+u")
        self.person.file_dialog(notes)
        time.sleep(1.5)
        self.person.ask(self.texts["short"])

    def find_in_chat(self) -> None:
        self.person.press("ctrl+f")
        self.person.wait("the find bar", lambda f: f["focus"] not in ("", "ComposerField"), 5)
        self.person.type("a")
        self.person.press("Return", "Return", "Escape")
        self.person.wait("the box again", lambda f: f["focus"] == "ComposerField", 5)

    def switch_during_an_answer(self) -> None:
        person = self.person
        person.press("ctrl+n")
        person.write(self.texts["long"])
        person.press("Return")
        person.wait("the answer has begun", lambda f: f["busy"], 30)
        person.click(self.texts["short"][:4])
        person.write(self.texts["queued"])
        person.press("Return")
        time.sleep(2.0)
        person.click(self.texts["long"][:6])
        person.wait("the long chat again", lambda f: f["messages"] == 2, 10)
        person.wait("both answers have ended", lambda f: not f["busy"], 2 * ANSWER_S)

    def edit_and_undo(self) -> None:
        person = self.person
        person.ask(self.texts["again"])
        before = person.facts()["messages"]
        person.press("ctrl+r")
        time.sleep(1.0)
        person.wait("another answer", lambda f: not f["busy"], ANSWER_S)
        person.click(tr("More"), last=True)
        person.click(tr("Delete this version"))
        time.sleep(0.7)
        person.press("ctrl+z")
        person.wait("the version is back", lambda f: f["messages"] == before, 10)

    def search(self) -> None:
        person = self.person
        person.press("ctrl+k")
        person.type(self.texts["word"])
        time.sleep(1.0)
        person.press("Return")
        person.wait("a chat with the word", lambda f: f["messages"] > 0, 10)
        person.press("ctrl+k", "ctrl+a", "BackSpace")
        person.press("Tab")
        person.press("ctrl+n")

    def export_and_import(self) -> None:
        person, before = self.person, self.person.facts()["rows"]
        number = next(self.numbers)
        for name in (f"all-{number}.json", f"all-{number}.html", f"all-{number}.pdf"):
            path = self.folder / name
            person.click(tr("Export and import"))
            person.click(tr("Export all conversations…"))
            person.file_dialog(path)
            # A PDF of many rounds has thousands of pages.
            person.wait(f"{name} is written", lambda _f, path=path: path.exists(), 240)
        if number > 1:
            return  # each import doubles the list
        person.click(tr("Export and import"))
        person.click(tr("Import conversations…"))
        person.file_dialog(of_another_computer(self.folder / f"all-{number}.json"))
        person.wait("the list has grown", lambda f: f["rows"] > before, 30)

    def trash_and_undo(self) -> None:
        person = self.person
        person.press("ctrl+n")
        before = person.facts()["rows"]
        person.click(self.texts["short"][:4], button=3)
        person.click(tr("Move to trash"))
        person.wait("the row has gone", lambda f: f["rows"] < before, 10)
        person.press("ctrl+z")
        person.wait("the row is back", lambda f: f["rows"] >= before, 10)
        person.click(tr("Trash"))
        person.close_dialog()

    def large_file(self) -> None:
        large = self.folder / "large.txt"
        large.write_text("A line of a long report.\n" * 30_000, encoding="utf-8")
        person = self.person
        person.press("ctrl+n", "ctrl+u")
        person.file_dialog(large)
        time.sleep(3.0)
        person.write(self.texts["short"])
        time.sleep(2.0)
        person.press("Return")
        time.sleep(4.0)
        person.wait("an end", lambda f: not f["busy"], ANSWER_S)
        person.press("ctrl+n")

    def full_context(self) -> None:
        person = self.person
        self._open_panel(tr("Conversation memory"))
        self._set_number(tr("Conversation memory"), "512")
        if person.sees(tr("Apply and reload"), 5):
            person.click(tr("Apply and reload"))
        time.sleep(1.0)
        person.wait("a model is loaded", lambda f: bool(f["loaded"]), 120)
        person.press("ctrl+j", "ctrl+n")
        for _ in range(3):
            person.write(self.texts["long"])
            person.press("Return")
            time.sleep(1.5)
            person.wait("an end", lambda f: not f["busy"], ANSWER_S)
            if person.sees(tr("Longer context"), 0.5) or person.facts()["state"] == "failed":
                break
            if person.facts()["typed"]:
                person.press("ctrl+a", "BackSpace")
        self._open_panel(tr("Conversation memory"))
        self._set_number(tr("Conversation memory"), "0")
        if person.sees(tr("Apply and reload"), 5):
            person.click(tr("Apply and reload"))
        time.sleep(1.0)
        person.wait("a model is loaded", lambda f: bool(f["loaded"]), 120)
        person.press("ctrl+j")

    def small_budget(self) -> None:
        person = self.person
        self._open_panel(tr("Model"))
        self._set_number(tr("Memory budget"), "256")
        time.sleep(2.0)
        if person.sees(tr("Undo"), 3):
            person.click(tr("Undo"))
        person.press("ctrl+j")

    def _open_panel(self, tab: str) -> None:
        if not self.person.sees(tab, kind="QTabBar"):
            self.person.press("ctrl+j")
        self.person.click(tab, kind="QTabBar")

    def _set_number(self, name: str, number: str) -> None:
        self.person.click(name, kind="QAbstractSpinBox")
        self.person.press("ctrl+a")
        self.person.type(number)
        self.person.press("Tab")
        time.sleep(1.0)

    def download_and_cancel(self) -> None:
        person = self.person
        person.press("ctrl+o")
        person.click(tr("Any model"))
        person.click(tr("Repository or address"))
        person.press("ctrl+a")
        person.type(page(self.server))
        person.click(tr("List files"))
        person.click(tr("Download now"), seconds=30)
        person.sees(tr("Pause"), 20)
        time.sleep(2.0)  # a download without a byte is deleted without a question
        person.click(tr("Pause"))
        person.click(tr("Resume"), seconds=10)
        person.sees(tr("Pause"), 10)
        time.sleep(1.5)
        person.click(tr("Delete…"))
        person.click(tr("Delete"))
        time.sleep(1.0)
        if person.sees(tr("Delete…"), 1):
            raise StepFailed("the cancelled download is still listed")
        person.press("Escape")
        person.wait("the dialog is closed", lambda f: not f["dialog"], 10)

    def dialogs(self) -> None:
        person = self.person
        for keys in ("F1", "ctrl+comma", "ctrl+o"):
            person.press(keys)
            person.close_dialog()
        for entry in (tr("About"), tr("Check this computer…")):
            person.press("F10")
            person.click(entry)
            time.sleep(2.0)
            person.close_dialog()

    def themes(self) -> None:
        """Two after each other; each round goes on in another one."""
        for _ in range(2):
            self.person.press("ctrl+comma")
            self.person.click(tr("Appearance"), kind="QComboBox")
            self.person.press("Home", *["Down"] * next(self.themes_in_turn), "Return")
            time.sleep(0.8)
            self.person.close_dialog()

    def text_size(self) -> None:
        self.person.press("ctrl+plus", "ctrl+plus", "ctrl+minus", "ctrl+0")

    def narrow_panel(self) -> None:
        for tab in (tr("Model"), tr("Answers"), tr("Conversation memory")):
            self._open_panel(tab)
            time.sleep(0.5)
        self.person.press("ctrl+j")


def slow_hub(content: bytes) -> HostileServer:
    """A hub whose file comes slowly enough to be cancelled."""
    body = json.dumps(tree_of({"slow-Q4_K_M.gguf": content})).encode()

    def script(request: Request, reply: Reply) -> None:
        path = request.path.partition("?")[0]
        if path == f"/api/models/{REPOSITORY}/tree/main":
            reply.head(200, f"Content-Length: {len(body)}", "Content-Type: application/json")
            reply.raw(body)
        elif request.headers.get("range", "").endswith("-65535"):
            last = f"bytes 0-65535/{len(content)}"
            reply.head(206, "Content-Length: 65536", f"Content-Range: {last}")
            reply.raw(content[:65536], body=True)
        else:
            reply.file(content[:0], limit=0) if not content else send_slowly(reply, content)

    return HostileServer(script)


def send_slowly(reply: Reply, content: bytes) -> None:
    """Send the rest of a file in pieces, with pauses."""
    start, size = reply.request.start, len(content)
    lines = [f"Content-Length: {size - start}", 'ETag: "one"']
    if start:
        lines.append(f"Content-Range: bytes {start}-{size - 1}/{size}")
    reply.head(206 if start else 200, *lines)
    for at in range(start, size, PIECE_BYTES):
        reply.raw(content[at : at + PIECE_BYTES], body=True)
        reply.wait(PIECE_PAUSE_S)


def window_mib(process_id: int) -> dict[str, float]:
    """The memory of the window's process alone."""
    full = psutil.Process(process_id).memory_full_info()
    return {"rss_mib": round(full.rss / (1 << 20), 1), "uss_mib": round(full.uss / (1 << 20), 1)}


def new_profile(folder: Path, language: str, model: Path | None) -> Path:
    """A profile as after the installation, with answers of a bounded length."""
    profile = folder / "profile"
    (profile / "models").mkdir(parents=True)
    if model is not None:
        (profile / "models" / model.name).symlink_to(model)
    sampling = SamplingSettings(max_tokens=250, seed=7)
    prefs.save(profile, prefs.Preferences(language=language, theme="light", sampling=sampling))
    return profile


class Diary:
    """Writes down the steps and takes the pictures."""

    def __init__(self, screen: Screen, folder: Path) -> None:
        self.screen, self.folder = screen, folder
        self.started = time.monotonic()
        self.failed: list[str] = []
        self._numbers = count(1)
        self._end = threading.Event()
        self._minutes = threading.Thread(target=self._each_minute, daemon=True)
        self._minutes.start()

    def _each_minute(self) -> None:
        for minute in count():
            if self._end.wait(max(0.0, self.started + 60 * minute - time.monotonic())):
                return
            with contextlib.suppress(subprocess.SubprocessError):
                self.screen.picture(self.folder / f"minute-{minute:02d}.png")

    def close(self) -> None:
        """Take no more pictures."""
        self._end.set()
        self._minutes.join()

    def step(self, step: Callable[[], None], person: Person) -> None:
        """Do one step; after a failed one the dialogs are closed."""
        name, number, note = step.__name__, next(self._numbers), ""
        try:
            step()
        except StepFailed as failure:
            note = str(failure)
            self.failed.append(f"{name}: {note}")
        self.screen.picture(self.folder / f"step-{number:03d}-{name}.png")
        self.note(step=name, ok=not note, note=note, **window_mib(person.window.pid))
        if note:
            for _ in range(4):
                person.press("Escape")
                if not person.facts()["dialog"] and not person.facts()["busy"]:
                    break

    def note(self, **facts: object) -> None:
        """Add a line to the file and the terminal."""
        line = json.dumps(
            {"s": round(time.monotonic() - self.started), **facts}, ensure_ascii=False
        )
        with (self.folder / "steps.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(line, flush=True)


def live(arguments: argparse.Namespace) -> int:
    """Do the day; returns the exit status."""
    folder: Path = arguments.folder.absolute()
    profile = new_profile(folder, arguments.language, arguments.model)
    use_language(arguments.language)
    starter = starter_model()
    assert starter is not None
    with Screen(arguments.display) as screen, slow_hub(starter.read_bytes()).running() as server:
        diary, person = Diary(screen, folder), Person(screen, profile, arguments.scale)
        day = Day(person, folder, arguments.language, server, arguments.model)
        for step in day.steps():
            if time.monotonic() > diary.started + 60 * arguments.minutes:
                break
            diary.step(step, person)
            if person.window.poll() is not None:
                diary.failed.append("the window has gone")
                break
        diary.close()
        if person.window.poll() is None:
            person.press("ctrl+n")
            time.sleep(12.0)  # the cursor blinks for ten
            memory = window_mib(person.window.pid)
            diary.note(step="end", failed=diary.failed, limit_mib=LIMIT_MIB, **memory)
            person.press("ctrl+q")
            person.window.wait(30)
            held = memory["rss_mib"] <= LIMIT_MIB
            return 0 if held and not diary.failed and person.window.returncode == 0 else 1
    return 1


def main() -> int:
    """Read the command line and do the day."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--language", choices=sorted(TEXTS), default="en")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--display", default=":32")
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--scale", default="1")
    return live(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
