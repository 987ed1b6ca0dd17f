"""What the whole application costs: start, memory, rest, streaming, and speed beside llama.cpp.

    python bench/bench_window.py [--quick] [--json] [--model GGUF]
                                 [--only start,memory,stream,parity,process]

Everything is measured on the real application (window, store, engine process), in processes of
their own, one after the other. Ends with 1 where a limit is missed. Without a screen (DISPLAY) Qt
draws offscreen, which takes the same processor time as drawing for a screen does.

start    from the start of the process to the first picture of the window, and to a loaded model.
memory   of the window's process alone, resident and unique, after the start and a chat; then the
         processor time of window and engine while nobody does anything.
stream   a conversation of 100,000 tokens is opened and answered at 100 tokens a second over the
         real pipe by tests/host/scripted_engine.py, and saved every half second as always; a timer
         that wants to fire each millisecond shows for how long the event loop was away.
parity   512 tokens read, 128 written, through the window and by a bare loop in a process of the
         same environment and priority, in turns (bare, ours, ours, bare), each alone on the
         machine. Rates come from the window's clock: from Enter to the first token on screen, and
         from there to the last. Cached tokens do not count as read.
process  the same inside of one process: bench/bench_engine.py.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import psutil

from bench import runner
from deepseek_r1.core.events import FinishReason, GenerationStats
from deepseek_r1.host.supervisor import engine_environment
from host.scripted_engine import TEXT
from r1desk.store import Store
from r1desk.store.store import Profile
from window.measured_process import Fact, MeasuredProcess
from window.measured_process import platform as qt_platform

BARE_LOOP = Path(__file__).with_name("bare_loop.py")
MIB = 1 << 20
TOKENS = 100_000
CHARACTERS_PER_TOKEN = 4
SECTIONS = ("start", "memory", "stream", "parity", "process")


@dataclass(frozen=True)
class Row:
    """One line of the table. `limit` None: reported only."""

    section: str
    name: str
    value: float
    unit: str
    limit: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def verdict(self) -> str:
        """Empty where there is no limit."""
        if self.limit is None:
            return ""
        held = self.value >= self.limit if self.at_least else self.value <= self.limit
        return "pass" if held else "FAIL"


class Profiles:
    """Fresh profile folders, put into the environment for the processes to come."""

    def __init__(self, folder: Path, model: str = "") -> None:
        self._folder = folder
        self._count = 0
        self.model = model  # a path, or empty for the starter

    def fresh(self) -> Path:
        """An empty one."""
        self._count += 1
        profile = self._folder / str(self._count)
        os.environ["R1DESK_PROFILE"] = str(profile)
        return profile


# ---- start ----------------------------------------------------------------------------------


def start(profiles: Profiles, quick: bool) -> list[Row]:
    visible, ready = [], []
    for _ in range(2 if quick else 5):
        profiles.fresh()
        with MeasuredProcess(["-m", "window.measured_window", "--ask"]) as window:
            visible.append(window.hear("visible")["t"] - window.started_at)
            ready.append(window.hear("ready")["t"] - window.started_at)
            psutil.Process(window.pid).terminate()
    return [
        Row("start", "window visible, median", statistics.median(visible), "s", 1.5),
        Row("start", "window visible, worst", max(visible), "s", 1.5),
        Row("start", "model ready, median", statistics.median(ready), "s"),
        Row("start", "model ready, worst", max(ready), "s"),
    ]


# ---- memory and rest ------------------------------------------------------------------------


def memory(profiles: Profiles, quick: bool) -> list[Row]:
    profiles.fresh()
    rows = []
    with MeasuredProcess(["-m", "window.measured_window"]) as window:
        engine = psutil.Process(window.hear("ready")["engine"])
        own = psutil.Process(window.pid)
        time.sleep(3.0)
        rows += _sizes(own, "after the start")
        for number in range(2 if quick else 4):
            window.tell("ask", text=f"Tell me fact number {number} about trees.", seed=number)
            window.hear("answered")
        time.sleep(13.0)  # what an answer leaves to do is done
        rows += _sizes(own, "after a chat")
        seconds = 20.0 if quick else 60.0  # some of what is measured happens every five seconds
        before = _busy_s(own), _busy_s(engine)
        time.sleep(seconds)
        for name, process, spent in (("window", own, before[0]), ("engine", engine, before[1])):
            percent = (_busy_s(process) - spent) / seconds * 100
            rows.append(Row("rest", f"processor time of the {name}", percent, "% of a core", 0.1))
        window.tell("watch_paints")  # not earlier: the counter itself takes time at each event
        window.hear("watching")
        time.sleep(seconds)
        window.tell("paints")
        count = int(window.hear("paints")["count"])
        rows.append(Row("rest", "paint events a minute", count * 60 / seconds, ""))
    return rows


def _sizes(process: psutil.Process, when: str) -> list[Row]:
    full = process.memory_full_info()
    return [
        Row("memory", f"resident {when}", full.rss / MIB, "MiB", 200.0),
        Row("memory", f"unique {when}", full.uss / MIB, "MiB"),
    ]


def _busy_s(process: psutil.Process) -> float:
    """From the scheduler, in nanoseconds; the usual counters tick in hundredths of a second."""
    tasks = Path(f"/proc/{process.pid}/task")
    if not tasks.is_dir():
        times = process.cpu_times()
        return times.user + times.system
    counters = [(task / "schedstat").read_text().split()[0] for task in tasks.iterdir()]
    return sum(map(int, counters)) / 1e9


# ---- streaming ------------------------------------------------------------------------------


def fill(folder: Path) -> int:
    """A profile with one conversation of `TOKENS` tokens; returns its number."""
    stats = GenerationStats(
        finish_reason=FinishReason.STOP, prompt_tokens=100, completion_tokens=250, decode_s=10.0
    )
    profile = Profile.open(folder)
    store = Store(profile.database)
    with store.transaction():
        conversation = store.conversations.create().id
        parent, characters, number = None, 0, 0
        while characters < TOKENS * CHARACTERS_PER_TOKEN:
            question = f"Question {number}: how does this part work, and what follows from it?"
            content = TEXT * (1 + number % 5)
            asked = store.messages.append_user(conversation, question, parent)
            parent = store.messages.begin_answer(conversation, asked.id, "Scripted").id
            store.messages.finish_answer(parent, content, TEXT, 3.0, stats)
            characters += len(question) + len(content) + len(TEXT)
            number += 1
    store.close()
    profile.close()
    return conversation


def stream(profiles: Profiles, quick: bool) -> list[Row]:
    conversation = fill(profiles.fresh())
    seconds = 5 if quick else 30
    rows = []
    with MeasuredProcess(["-m", "window.measured_window", "--scripted"]) as window:
        window.hear("ready")
        time.sleep(1.0)
        window.tell("beat")
        time.sleep(2.0)
        window.tell("rest")
        rows.append(_stall("nothing happens", window.hear("gaps"), None))
        window.tell("beat")
        window.tell("open", conversation=conversation)
        messages = window.hear("shown")["messages"]
        time.sleep(3.0)
        window.tell("rest")
        rows.append(_stall(f"opening {messages} messages", window.hear("gaps"), 50.0))
        window.tell("beat")
        window.tell("ask", text=f"pace=100,{seconds}")
        answered = window.hear("answered")
        time.sleep(1.0)
        window.tell("rest")
        rows.append(_stall("asking, 100 tok/s, ending", window.hear("gaps"), 50.0))
        pace = answered["stream_tokens"] / answered["stream_s"]
        rows.append(Row("stream", "pace the window saw", pace, "tok/s", 99.0, at_least=True))
        size = psutil.Process(window.pid).memory_info().rss / MIB
        rows.append(Row("stream", "resident with it open", size, "MiB", 200.0))
    return rows


def _stall(name: str, fact: Fact, limit: float | None) -> Row:
    gaps = sorted(fact["gaps_ms"])
    middle, late = gaps[len(gaps) // 2], gaps[int(len(gaps) * 0.99)]
    over = sum(gap > 50.0 for gap in gaps)
    note = f"p50 {middle:.1f}, p99 {late:.1f}, {over} of {len(gaps)} over 50 ms"
    return Row("stream", f"longest stall, {name}", gaps[-1], "ms", limit, note=note)


# ---- parity ---------------------------------------------------------------------------------


def parity(profiles: Profiles, quick: bool) -> list[Row]:
    profiles.fresh()
    rates: dict[str, dict[str, list[list[float]]]] = {
        phase: {"bare": [], "window": []} for phase in ("prefill", "decode")
    }
    around: list[float] = []
    bare_env = engine_environment()
    model = ["--model", profiles.model] if profiles.model else []
    with (
        MeasuredProcess(["-m", "window.measured_window", *model]) as window,
        MeasuredProcess(["-X", "utf8", str(BARE_LOOP), *model], bare_env) as bare,
    ):
        window.hear("ready")
        bare.hear("ready")
        number, blocks = -1, 3 if quick else 8
        while len(rates["decode"]["window"]) < blocks and number < 4 * blocks:
            block: dict[str, list[dict[str, float]]] = {"bare": [], "window": []}
            # Two prompts a block: the second would find the first one's tokens in the cache.
            for half, arms_in_turn in enumerate((("bare", "window"), ("window", "bare"))):
                bare.tell("prompt", number=2 * number + half)
                prompt = bare.hear("prompt")
                for arm in arms_in_turn:
                    time.sleep(0.3)  # the other one's threads have gone to sleep
                    process = bare if arm == "bare" else window
                    run = _timed(process, prompt, fresh=arm == "window")
                    block[arm].append(run)
                    around += [run["around_ms"]] if arm == "window" else []
            number += 1
            if number == 0 or not all(run["full"] for run in block["window"]):
                continue  # warm-up; or calls of other sizes let the model end early
            for phase, arms in rates.items():
                for arm, runs in block.items():
                    arms[arm].append([run[phase] for run in runs])
    if (whole := len(rates["decode"]["window"])) < blocks:
        raise SystemExit(f"the model ends its answers early: only {whole} of {blocks} were whole")
    rows = []
    for phase, arms in rates.items():
        rows += _ratio_rows("parity", phase, arms["bare"], arms["window"], "window", 0.95)
    middle = statistics.median(around)
    return [*rows, Row("parity", "from Enter to the first token, around the engine", middle, "ms")]


def _timed(process: MeasuredProcess, prompt: Fact, *, fresh: bool) -> dict[str, float]:
    if fresh:
        process.tell("open", conversation=None)
        process.hear("shown")
        time.sleep(0.3)
    process.tell("ask", text=prompt["text"], seed=prompt["seed"], max_tokens=128)
    fact = process.hear("answered")
    if not fresh:
        return {"prefill": fact["prefill"], "decode": fact["decode"], "full": True}
    stats = fact["stats"]
    assert stats["prompt_tokens"] == prompt["tokens"], stats
    read = stats["prompt_tokens"] - stats["cached_tokens"] + fact["first_tokens"] - 1
    return {
        "prefill": read / fact["first_s"],
        "decode": fact["stream_tokens"] / max(fact["stream_s"], 1e-9),
        "full": stats["completion_tokens"] == 128,
        "around_ms": (fact["first_s"] - stats["ttft_s"]) * 1000,
    }


def _ratio_rows(
    section: str,
    phase: str,
    bare: list[list[float]],
    ours: list[list[float]],
    name: str,
    limit: float,
) -> list[Row]:
    found = runner.ratio(ours, bare)
    note = f"{found.low:.3f} to {found.high:.3f}, {len(bare)} blocks"
    return [
        Row(section, f"{phase}, bare loop", runner.middle(bare), "tok/s"),
        Row(section, f"{phase}, {name}", runner.middle(ours), "tok/s"),
        Row(section, f"{phase}, {name} / bare", found.ratio, "", limit, at_least=True, note=note),
    ]


def process(_profiles: Profiles, quick: bool) -> list[Row]:
    output = subprocess.run(
        [
            sys.executable,
            str(ROOT / "bench" / "bench_engine.py"),
            "--json",
            "--blocks",
            "3" if quick else "8",
        ],
        env={**os.environ, **engine_environment()},
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    report = json.loads(output.splitlines()[-1])
    rows = []
    for found in report["rows"]:
        phase = found["phase"]
        note = f"{found['low']:.3f} to {found['high']:.3f}, {report['blocks']} blocks"
        rows += [
            Row("process", f"{phase}, bare loop", found["bare"], "tok/s"),
            Row("process", f"{phase}, CPUInference", found["ours"], "tok/s"),
            Row("process", f"{phase}, ratio", found["ratio"], "", 0.98, at_least=True, note=note),
        ]
    return rows


# ---- the table ------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    names = ("PySide6-Essentials", "llama-cpp-python", "apsw", "pydantic")
    return {
        "machine": runner.machine(),
        "versions": {"Python": platform.python_version()}
        | {name: metadata.version(name) for name in names},
        "qt_platform": qt_platform(),
        "load_before": os.getloadavg()[0],
    }


def print_row(row: Row) -> None:
    sign = ">=" if row.at_least else "<="
    limit = "" if row.limit is None else f"{sign} {row.limit:g}"
    print(
        f"{row.section:8} {row.name:42} {row.value:9.3f} {row.unit:12} {limit:9} "
        f"{row.verdict:5} {row.note}".rstrip(),
        flush=True,
    )


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--quick", action="store_true", help="shorter, for a first look")
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--only", default=",".join(SECTIONS), metavar="SECTION,…")
    arguments.add_argument("--model", default="", help="for parity, in place of the starter")
    given = arguments.parse_args()
    about = machine()
    if not given.json:
        versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
        print(f"{about['machine']}\n{versions}; Qt on {about['qt_platform']}; "
              f"load {about['load_before']:.2f}")  # fmt: skip
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        profiles = Profiles(Path(folder), given.model)
        for section in given.only.split(","):
            fresh = globals()[section](profiles, given.quick) if section in SECTIONS else []
            rows += fresh
            for row in fresh if not given.json else []:
                print_row(row)
    failed = [row for row in rows if row.verdict == "FAIL"]
    if given.json:
        table = [asdict(row) | {"verdict": row.verdict} for row in rows]
        print(json.dumps(about | {"load_after": os.getloadavg()[0], "rows": table}))
    else:
        print(f"{len(failed)} limits missed; load {os.getloadavg()[0]:.2f}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
