"""Uses the application for hours as a person does, by mouse and keys, and reports what it saw.

    /usr/bin/python3 bench/daily_use/drive.py OUT --minutes 120 [--pace 12] [--only ask,queue]

On a private screen (Xvfb, openbox) and a fresh profile, both below OUT. Controls are found by their
role and name for screen readers (AT-SPI), and every task is checked by what can be seen there, in
the stored chats or in /proc. Four looks follow each other at 1366x768: English light and dark,
Chinese light and dark. After half of the time the application is quit and started again on a
screen of 2732x1536 at 200 %, and for the last quarter on one of 1366x768 again; with `--look
zh_CN,dark,2` it is one look at one scale all the time. OUT has
`report.md`, pictures of what failed, and as CSV the steps, the turns of the window's thread over
50 ms, the machine's own slowness and the resources.

Needs xdotool, imagemagick, at-spi2-core, python3-gi and gir1.2-atspi-2.0: the system's Python.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from desktop import Desktop, key, picture
from outside import RESOURCES, StoredChats, descendants, resources
from person import Person, StepFailed
from report import write_report
from tasks import TASKS, appearance, first_day
from window_tree import NotSeen, WindowTree

ROOT = Path(__file__).resolve().parents[2]
METER = Path(__file__).with_name("meter.py")
LOOKS = (("en", "light"), ("en", "dark"), ("zh_CN", "light"), ("zh_CN", "dark"))
RESTART_AT, RESTART_AGAIN_AT = 0.5, 0.75  # of the time
IMPORTS = 8
SAMPLES = """
import sys
from pathlib import Path
from support.foreign_exports import chatgpt_chat, write_chatgpt
for n in range({imports}):
    chats = [chatgpt_chat(2 * n + k, turns=40 if k else 3, words=" light" * 40) for k in (0, 1)]
    write_chatgpt(Path(sys.argv[1]) / f"chatgpt-{{n}}.zip", chats)
"""


class Application:
    """The running application; started again on the same profile."""

    def __init__(self, python: Path, out: Path) -> None:
        self._python, self._out = python, out
        self.popen: subprocess.Popen[bytes] | None = None

    def start(self, scale: int) -> int:
        """Start it; the number of its process."""
        own = {
            "R1DESK_PROFILE": str(self._out / "profile"),
            "QT_SCALE_FACTOR": str(scale),
            "QT_LINUX_ACCESSIBILITY_ALWAYS_ON": "1",
            "PYTHONPATH": str(ROOT / "app"),
        }
        command = [self._python, METER, "window", self._out / "turns.csv"]
        with (self._out / "application.log").open("ab") as log:
            self.popen = subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=log)
        return self.popen.pid

    def ended(self) -> int | None:
        """The exit status, once it has one."""
        return self.popen.poll() if self.popen else None


class Drive:
    """One run from the first start to the report."""

    def __init__(self, given: argparse.Namespace) -> None:

        self.out, self.minutes = given.out, given.minutes
        self.began = time.time()
        self.tree = WindowTree()
        chats = StoredChats(self.out / "profile", self.out)
        self.me = Person(self.tree, chats, self.out, given.pace)
        self.application = Application(given.python, self.out)
        self.tasks = given.only.split(",") if given.only else []
        self.one_look = given.look.split(",") if given.look else []
        self._left: list[str] = []  # of the round of tasks
        self.at_end: tuple[int, int] = (0, 0)
        self._resources = (self.out / "resources.csv").open("a", buffering=1)
        self._resources.write(RESOURCES + "\n")
        self._over = threading.Event()
        self._sampler = threading.Thread(target=self._sample)

    def share(self) -> float:
        """The part of the time that is over."""
        return (time.time() - self.began) / (60 * self.minutes)

    def _sample(self) -> None:

        while not self._over.wait(min(60, self.minutes * 6)):
            if self.application.ended() is None:
                self._resources.write(resources(self.tree.pid) + "\n")

    # ---- the application --------------------------------------------------------------------

    def start(self, scale: int) -> None:
        """Start the application and wait for its window."""
        self.tree.pid, self.tree.scale = self.application.start(scale), scale
        self.tree.find("text", "Message", timeout_s=60)

    def quit(self) -> None:
        """Ctrl+Q, and no process is left."""

        with self.me.step("Ctrl+Q ends all processes"):
            children = descendants(self.tree.pid)
            key("ctrl+q")
            self.me.sees(lambda: self.application.ended() is not None, "the end", 60)
            assert self.application.ended() == 0, f"exit status {self.application.ended()}"
            self.me.sees(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children),
                         "the end of the processes that it had started", 3)  # fmt: skip

    def do(self, name: str) -> None:
        """One task; whatever became of it, the window is tidy afterwards."""

        self.me.task = name
        try:
            (TASKS | {"first_day": first_day})[name](self.me)
        except StepFailed:
            pass
        except Exception as error:  # noqa: BLE001 - the driver's own mistake; the run goes on
            self.me.failures.append(f"{self.me.phase}, {name}: the driver itself: {error!r}")
            print("DRIVER", name, repr(error), flush=True)
        self.recover()

    def recover(self) -> None:
        """Leave all dialogs; start the application again where it ended or does not answer."""

        try:
            if self.application.ended() is None:
                self.me.tidy()
                return
            why = f"the application ended with {self.application.ended()}"
        except NotSeen as error:
            why = f"{error}; the application was killed"
            file = self.out / f"failed-{len(self.me.failures) + 1:02}.png"
            picture(file)
            self.application.popen.kill()
            self.application.popen.wait()
        self.me.failures.append(f"**{self.me.phase}, after {self.me.task}: {why}**")
        print("FAILED", self.me.failures[-1], flush=True)
        self.start(self.tree.scale)

    # ---- the day ----------------------------------------------------------------------------

    def run(self, desktop: Desktop) -> None:
        """From the first start to the end."""
        self._sampler.start()
        self.start(int(self.one_look[2]) if self.one_look else 1)
        self.me.phase = "English light 100 %"
        self.do("first_day")
        if self.one_look:
            language, theme, scale = self.one_look
            self.prepare()
            self.look(language, theme, f"{scale}00 %")
            self.work_until(1)
        else:
            self.all_looks(desktop)
        self.count()
        self.leave()

    def all_looks(self, desktop: Desktop) -> None:
        """Four at 100 %, two at 200 %, and back."""
        for place, look in enumerate(LOOKS):
            self.look(*look, "100 %")
            if not place:
                self.prepare()
            self.work_until(RESTART_AT * (place + 1) / len(LOOKS))
        self.restart(desktop, 2)
        self.work_until((RESTART_AT + RESTART_AGAIN_AT) / 2)
        self.look("en", "light", "200 %")
        self.work_until(RESTART_AGAIN_AT)
        self.restart(desktop, 1)
        self.work_until((1 + RESTART_AGAIN_AT) / 2)
        self.look("zh_CN", "dark", "100 %")
        self.work_until(1)

    def restart(self, desktop: Desktop, scale: int) -> None:
        """Quit, and start on another screen in the same look."""
        self.me.task = "restart"
        self.leave()
        desktop.open_screen(1366 * scale, 768 * scale)
        self.start(scale)
        self.me.phase = f"{self.me.phase.rpartition(' ')[0].rpartition(' ')[0]} {scale}00 %"

    def leave(self) -> None:
        """Quit; a failure of that is in the report."""

        try:
            self.quit()
        except StepFailed:
            self.application.popen.kill()
            self.application.popen.wait()

    def look(self, language: str, theme: str, scale: str) -> None:
        """Another look, which is the name of the phase."""

        self.me.task, name = "appearance", "English" if language == "en" else "Chinese"
        try:
            appearance(self.me, language, theme)
        except Exception as error:  # noqa: BLE001 - it is in the report; the run goes on
            print("FAILED appearance", repr(error), flush=True)
        self.recover()
        self.me.phase = f"{name} {theme} {scale}"

    def prepare(self) -> None:
        """What there has to be before tasks come in any order: some chats."""
        for name in ("new_chat", "ask", "new_chat", "import_chats", "new_chat", "new_chat"):
            self.do(name)

    def work_until(self, share: float) -> None:
        """Tasks in varying order until this part of the time is over; at least one."""

        while True:
            if not self._left:
                self._left = [*self.tasks] or [*TASKS, "new_chat", "ask"]
                self.me.random.shuffle(self._left)
            self.do(self._left.pop())
            if self.share() > share:
                return

    def count(self) -> None:
        """Chats and folders at the end."""
        folders = self.me.chats.one("SELECT count(*) FROM folders")
        self.at_end = len(self.me.chats.titles()), folders

    def close(self) -> None:
        """End what still runs."""
        self._over.set()
        if self.application.ended() is None and self.application.popen:
            self.application.popen.kill()
        if self._sampler.is_alive():
            self._sampler.join()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="a folder that is not there yet")
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--pace", type=float, default=12, help="seconds between steps, on average")
    parser.add_argument("--only", default="", metavar="TASK,…")
    parser.add_argument("--look", default="", metavar="LANGUAGE,THEME,SCALE")
    parser.add_argument("--python", type=Path, default=ROOT / ".venv" / "bin" / "python")
    given = parser.parse_args()
    given.out = given.out.resolve()
    (given.out / "files").mkdir(parents=True)
    given.python = given.python.absolute()
    paths = os.pathsep.join([str(ROOT / "app"), str(ROOT / "tests")])
    samples = [given.python, "-c", SAMPLES.format(imports=IMPORTS), given.out / "files"]
    subprocess.run(samples, env=os.environ | {"PYTHONPATH": paths}, check=True)
    host = subprocess.Popen([sys.executable, METER, "host", given.out / "host.csv"])
    desktop = Desktop(given.out / "home")
    drive = None
    try:
        scale = int(given.look.split(",")[2]) if given.look else 1
        desktop.open_screen(1366 * scale, 768 * scale)
        drive = Drive(given)
        drive.run(desktop)
    finally:
        if drive:
            drive.close()

            write_report(given.out, drive.me, drive.began, drive.at_end)
        desktop.close()
        host.terminate()
    return 1 if drive.me.failures else 0


if __name__ == "__main__":
    sys.exit(main())
