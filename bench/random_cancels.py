"""Interrupts answers at random for minutes, and checks that nothing was lost and nothing runs on.

    sudo .venv/bin/python bench/random_cancels.py [--minutes 10] [--seed 1]

Chats are left, the window is closed and built anew in another language, the engine is killed, the
drive is full, while answers are written and wait. The window is offscreen, on a small drive of its
own, and its engine a scripted one, which repeats the question a word at a time: so each answer
shows whose it is. Prints what was done; exit status 1 where a text is missing, an answer stands
below another question, or a process is left.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "app"), str(ROOT / "tests")]

import psutil
from PySide6.QtCore import QCoreApplication, QEventLoop, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPushButton

from bench.own_process import until
from deepseek_r1.core.i18n import use_language
from r1desk import preferences as prefs
from r1desk.chat.values.intents import EditQuestion, Regenerate, StopAnswer, WithdrawQuestion
from r1desk.shell.session import Session
from r1desk.shell.startup import create_application
from r1desk.store import Profile, StoreThread
from support.engine_script import EngineScript, repeats
from window.disks import Disk

TOKEN_S = 0.02
LONGEST_S = 0.8  # between two interruptions
DRIVE_KIB = 32 * 1024
NOUNS = ["sea", "ship", "tea", "cat", "road", "lamp", "moon", "tree", "door", "song"]


class Trial:
    """One profile, opened again and again, and what a person knows of it."""

    def __init__(self, disk: Disk, engine: EngineScript, seed: int) -> None:
        self._disk, self._engine = disk, engine
        self._random = random.Random(seed)
        self.profile = disk.folder / "profile"
        self.texts: list[str] = []  # typed; each is to be found at the end
        self.done: Counter[str] = Counter()
        self.steps: list[tuple[int, str, int | None]] = []  # before which text, what, in which chat
        self.wrong: list[str] = []
        self._is_full = False
        self.open()

    # ---- the application --------------------------------------------------------------------

    def open(self) -> None:
        """Start the application on the profile."""
        stored, damaged = prefs.load(self.profile)
        stored.welcomed = True
        self._opened = Profile.open(self.profile)
        self._store = StoreThread(self._opened.database)
        self.session = Session(self._opened, self._store, stored, damaged, self._engine.command)
        self.session.bug_found.connect(self.wrong.append)
        self.session.show()
        self.live(0.3)

    def close(self) -> None:
        """Close the window, as soon as it does not ask to stay, and look what still runs."""
        self._free()
        until(self._closes, "the window closes without a question")
        self.session.close()
        self._store.close()
        self._opened.close()
        self.session.window.deleteLater()
        self.session.deleteLater()
        self.live(0.1)
        _, left = psutil.wait_procs(psutil.Process().children(recursive=True), timeout=5)
        self.wrong += [f"still runs: {' '.join(each.cmdline())}" for each in left]

    def _closes(self) -> bool:
        window = self.session.window
        window.closed.disconnect(self.session._on_closed)  # which ends the application
        closed = window.close()
        window.closed.connect(self.session._on_closed)
        if not closed and (box := QApplication.activeModalWidget()) is not None:
            box.reject()
        return closed

    def live(self, seconds: float) -> None:
        """Let the window live so long, and compare each answer shown with its question."""
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)
            time.sleep(0.002)
        for above, answer in pairwise(self.session.chat.shown_branch):
            if answer.is_answer:
                self._compare(above.content, answer.content, "on the screen")

    def _compare(self, question: str, answer: str, where: str) -> None:
        if not question.startswith(answer.strip()):
            self.wrong.append(f"{where}: {answer!r} below {question!r}")

    # ---- what a person does -----------------------------------------------------------------

    def step(self) -> None:
        """One interruption, and a while."""
        ways: dict[Callable[[], None], int] = {
            self._ask: 12, self._leave: 5, self._begin_chat: 3, self._type: 2, self._stop: 2,
            self._ask_again: 2, self._edit: 2, self._withdraw: 2, self._change_language: 1,
            self._kill: 1, self._fill: 1, self._free: 2, self._open_again: 1,
        }  # fmt: skip
        (way,) = self._random.choices(list(ways), list(ways.values()))
        name = way.__name__.strip("_").replace("_", " ")
        self.steps.append((len(self.texts), name, self.session.chat.conversation_id))
        way()
        self.done[name] += 1
        self.live(self._random.random() * LONGEST_S)

    def _new_text(self) -> str:
        words = self._random.choices(NOUNS, k=self._random.randrange(3, 60))
        self.texts.append(f"Question {len(self.texts)}: {' '.join(words)}.")
        return self.texts[-1]

    def _type(self) -> None:
        composer = self.session.window.composer
        if not composer.text():
            composer.editor.insertPlainText(self._new_text())  # as keys do

    def _ask(self) -> None:
        self._type()
        self.session.window.composer.submit()

    def _leave(self) -> None:
        infos = self.session.window.sidebar.conversations
        if infos:
            self.session.chat.open(self._random.choice(infos).id)

    def _begin_chat(self) -> None:
        self.session.chat.new_chat()

    def _stop(self) -> None:
        self.session.window.composer.requested.emit(StopAnswer())

    def _ask_again(self) -> None:
        branch = self.session.chat.shown_branch
        if branch and branch[-1].is_answer:
            self.session.window.chat.requested.emit(Regenerate(branch[-1].id))

    def _edit(self) -> None:
        branch = self.session.chat.shown_branch
        if len(branch) > 1 and not self.session.window.composer.text():
            intent = EditQuestion(branch[-2].id, self._new_text())
            self.session.window.chat.requested.emit(intent)

    def _withdraw(self) -> None:
        branch = self.session.chat.shown_branch
        if branch and branch[-1].state == "queued" and not self.session.window.composer.text():
            self.session.window.chat.requested.emit(WithdrawQuestion(branch[-1].id))

    def _change_language(self) -> None:
        before = self.session.window
        self.session.set_language(self._random.choice(["en", "zh_CN"]))
        until(lambda: self.session.window is not before, "a window in another language")

    def _kill(self) -> None:
        if pid := self.session.engine.engine_pid:
            psutil.Process(pid).kill()

    def _fill(self) -> None:
        if not self._is_full:
            self._disk.fill()
        self._is_full = True

    def _free(self) -> None:
        if self._is_full:
            self._disk.free()
        self._is_full = False

    def _open_again(self) -> None:
        self.close()
        self.open()

    def start_engine(self) -> None:
        """Press the button of the notice that the engine keeps dying."""
        for row in tuple(self.session.window.notices.rows):
            for button in row.findChildren(QPushButton):
                if button.text() in {"Start engine", "启动引擎"}:
                    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
                    self.done["start engine"] += 1

    # ---- the end ----------------------------------------------------------------------------

    def settle(self) -> None:
        """Wait until all that was asked is answered or was refused."""
        self._free()
        chat = self.session.chat
        until(lambda: not chat.busy and not chat.answers.waiting, "the end of the last answer")
        self.live(2.0)

    def check(self) -> dict[str, object]:
        """Compare what is stored with what was typed."""
        with sqlite3.connect(self.profile / "conversations.db") as db:
            rows = db.execute("SELECT id, parent_id, role, state, content FROM messages").fetchall()
            kept = [text for (text,) in db.execute("SELECT draft FROM conversations")]
            kept += [json.loads(v) for (v,) in db.execute("SELECT value_json FROM remembered")]
        contents = {key: content for key, _parent, _role, _state, content in rows}
        there = " | ".join([*contents.values(), *map(str, kept)])
        for number, text in enumerate(self.texts):
            if text not in there:
                first = next(n for n, step in enumerate(self.steps) if step[0] > number) - 1
                self.wrong.append(f"lost: {text} {self.steps[first : first + 8]}")
        states = Counter(state for _, _, role, state, _ in rows if role == "assistant")
        for _, parent, role, state, content in rows:
            if role == "assistant":
                self._compare(contents[parent], content, "stored")
                if state not in {"complete", "stopped", "failed"}:
                    self.wrong.append(f"still {state}")
        return {"texts": len(self.texts), "answers": dict(states), "done": dict(self.done)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    use_language("en")
    create_application(sys.argv[:1], prefs.Preferences())
    with tempfile.TemporaryDirectory() as folder:
        os.environ["R1DESK_PROFILE"] = str(Path(folder) / "drive" / "profile")
        engine = EngineScript(Path(folder))
        engine.answers(repeats(TOKEN_S))
        disk = Disk(Path(folder) / "drive", DRIVE_KIB)
        try:
            trial = Trial(disk, engine, given.seed)
            sys.excepthook = lambda *error: trial.wrong.append(
                "".join(traceback.format_exception(*error))
            )
            ends_at = time.monotonic() + 60 * given.minutes
            while time.monotonic() < ends_at and not trial.wrong:
                trial.step()
                trial.start_engine()
            trial.settle()
            trial.close()
            found = trial.check()
        finally:
            disk.remove()
    print(json.dumps(found | {"wrong": trial.wrong}, indent=1, ensure_ascii=False))
    return 1 if trial.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
