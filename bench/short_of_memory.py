"""A chat in the real window while another program takes the memory. Run inside a memory limit:

    sudo .venv/bin/python bench/with_memory_limit.py 2000 \\
        .venv/bin/python bench/short_of_memory.py \\
        [--model FILE] [--budget 1280] [--tokens 120] [--full 0.97]

The limit's group holds window, engine and the program that eats. A question is answered three
times: to warm up, calmly, and while the eater fills the group to `--full`. Prints one JSON object;
exit status 1 where a promise was not kept. Without a limit it eats the machine's own memory: only
where you are alone. The eater asks to be killed before anything else, should it come to that.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "app"), str(ROOT / "tests")]

from bench.own_process import ask_again, own_session, until
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.hardware import linux
from deepseek_r1.host.protocol import Heartbeat
from r1desk.shell.session import Session
from r1desk.widgets.notice_bar import Level, Notice

EATER = """
import sys
sys.path.insert(0, sys.argv[1])
from deepseek_r1.hardware.pressure import memory_reading
full, held = float(sys.argv[2]), []
with open("/proc/self/oom_score_adj", "w") as file:
    file.write("1000")
while True:
    now = memory_reading()
    if now.available_mib <= (1 - full) * now.total_mib:
        break
    held.append(bytearray(4 << 20))
    for at in range(0, 4 << 20, 4096):
        held[-1][at] = 1
print(len(held) * 4, 1 - now.available_mib / now.total_mib, flush=True)
sys.stdin.read()
"""
QUESTION = "Write a long story about a whale."


class Trial:
    def __init__(self, session: Session, full: float) -> None:
        self.session, self.full = session, full
        self.notices: list[dict[str, str]] = []
        self.beats: list[Heartbeat] = []
        self.pids: set[int] = set()
        session.engine.heartbeat.connect(self._on_beat)
        shown = session.window.notices.show_notice

        def show(notice: Notice) -> None:
            self.notices.append({"level": str(notice.level), "text": notice.text})
            shown(notice)

        session.window.notices.show_notice = show

    def _on_beat(self, beat: Heartbeat) -> None:
        self.beats.append(beat)
        self.pids.add(self.session.engine.engine_pid)

    def run(self) -> dict[str, Any]:
        until(lambda: self.session.models.current is not None, "the model loads")
        bill, killed_before = self.session.models.current.bill, kills()
        ask_again(self.session, QUESTION)
        calm = ask_again(self.session, QUESTION)
        eater = subprocess.Popen(
            [sys.executable, "-c", EATER, str(ROOT / "app"), str(self.full)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        marks: dict[str, float] = {}

        def eat() -> None:
            os.set_blocking(eater.stdout.fileno(), False)
            until(lambda: self._eaten(eater, marks), "the eater is full")
            marks["answering"] = float(self.session.chat.busy)

        self.beats.clear()
        self.pids = {self.session.engine.engine_pid}
        disturbed = ask_again(self.session, QUESTION, eat)
        until(lambda: any(b.memory and b.memory.short for b in self.beats), "a shortage")
        eater.kill()
        eater.wait()
        gone = time.monotonic()
        until(lambda: bool(self.beats[-1].memory and not self.beats[-1].memory.short), "relief")
        back_s = time.monotonic() - gone
        held = [beat.memory for beat in self.beats if beat.memory]
        return {
            "streams": bill.streams,
            "equal": disturbed == calm,
            "characters": len(calm),
            "eaten_mib": marks["eaten_mib"],
            "full": self.full,
            "used_share_when_full": marks["used_share"],
            "answering_when_full": bool(marks["answering"]),
            "notices": self.notices,
            "budget_mib": bill.budget_mib,
            "least_budget_mib": min(state.budget_mib for state in held),
            "least_batch": min(state.batch for state in held),
            "back_after_s": round(back_s, 1),
            "budget_back_mib": held[-1].budget_mib,
            "engines": len(self.pids),
            "killed_by_kernel": kills() - killed_before,
        }

    @staticmethod
    def _eaten(eater: subprocess.Popen[str], marks: dict[str, float]) -> bool:
        line = eater.stdout.readline()
        if line:  # by now the engine may have given memory back: the eater's own reading counts
            marks["eaten_mib"], marks["used_share"] = map(float, line.split())
        return bool(line)


def kills() -> int:
    """How often the kernel has killed for want of memory, on the whole machine."""
    for line in linux.small_text(Path("/proc/vmstat")).splitlines():
        key, _, number = line.partition(" ")
        if key == "oom_kill":
            return int(number)
    raise SystemExit("the kernel does not count what it kills")


def kept(found: dict[str, Any]) -> bool:
    """Everything that was promised."""
    warnings = [each for each in found["notices"] if each["level"] == Level.WARNING]
    return (
        found["equal"]
        and found["characters"] > 0
        and found["answering_when_full"]
        and found["used_share_when_full"] >= found["full"]
        and len(warnings) == 1
        and found["engines"] == 1
        and found["killed_by_kernel"] == 0
        and found["budget_back_mib"] == found["budget_mib"]
        and (found["least_budget_mib"] < found["budget_mib"] or not found["streams"])
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=starter_model())
    parser.add_argument("--budget", type=int, default=1280)
    parser.add_argument("--tokens", type=int, default=120)
    parser.add_argument("--full", type=float, default=0.97)
    given = parser.parse_args()
    load = LoadSettings(
        memory_budget=given.budget, context_length=1024, micro_batch=64, swap_enabled=True
    )
    with own_session(given.model, load, given.tokens) as session:
        found = Trial(session, given.full).run()
    print(json.dumps(found, indent=1))
    return 0 if kept(found) else 1


if __name__ == "__main__":
    sys.exit(main())
