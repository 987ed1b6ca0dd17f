"""Kill owners of child processes at many moments and see that none of their processes stays.

    python tests/hostile/kill_owners.py --rounds 200 --seed 1

The owners are a program of the library (resident, streamed, an old file), the command line and the
window. Each is killed by SIGKILL after a random time: while it starts, loads, renders, reads,
writes or converts. Ends with 1 if a process of the owner is there two seconds later. Linux only:
processes are found by a variable of their environment.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
APP = HERE.parent / "app"
sys.path[:0] = [str(APP), str(HERE)]

from deepseek_r1.core.paths import starter_model
from support.ggml_files import FAMILIES

LATE_S = 2.0
MARK = "R1DESK_TRIAL"  # variables with this prefix are passed on to every child process

LIBRARY = """
import sys
from deepseek_r1 import CPUInference
while True:
    with CPUInference(sys.argv[1], **eval(sys.argv[2])) as model:
        model.generate("Tell a long story of a whale. " * 20, 60)
"""


def owners(folder: Path) -> dict[str, list[str]]:
    """The command line of each kind of owner."""
    model = str(starter_model())
    old = str(FAMILIES["gpt2"](folder / "old.bin"))
    python, command = sys.executable, [sys.executable, "-m", "deepseek_r1.cli"]
    return {
        "library": [python, "-c", LIBRARY, model, "{'context_length': 1024}"],
        "library, streamed": [
            python, "-c", LIBRARY, model,
            "{'context_length': 4096, 'memory_budget': 256, 'swap_enabled': True}",
        ],
        "library, an old file": [python, "-c", LIBRARY, old, "{'context_length': 256}"],
        "generate": [*command, "generate", "Tell a long story.", "-m", model],
        "convert": [*command, "convert", model, str(folder / "out.gguf"), "--precision", "int8"],
        "window": [python, "-m", "r1desk", model],
    }  # fmt: skip


def marked(mark: str) -> list[tuple[int, str]]:
    """The running processes with this mark, and their command lines."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted not in (folder / "environ").read_bytes().split(b"\0"):
                continue
            if (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                continue
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        found.append((int(folder.name), line[:120]))
    return found


def kill_one(
    command: list[str], after_s: float, mark: str, folder: Path, late_s: float
) -> list[str]:
    """Start the owner, kill it after a time, and return the command lines of what stays."""
    profile = folder / "profile"
    environment = {
        **os.environ, "PYTHONPATH": str(APP), MARK: mark, "R1DESK_PROFILE": str(profile),
        "QT_QPA_PLATFORM": "offscreen",
    }  # fmt: skip
    owner = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(after_s)
    owner.kill()
    owner.wait()
    end = time.monotonic() + late_s
    while (left := marked(mark)) and time.monotonic() < end:
        time.sleep(0.05)
    for pid, _ in left:
        os.kill(pid, 9)
    return [line for _, line in left]


def trial(
    seed: int, rounds: int, longest_s: float = 6.0, late_s: float = LATE_S
) -> tuple[Counter, list[str]]:
    """Kill owners in turn. Returns the rounds of each kind, and a line for each that left one."""
    chosen, rounds_of, leftovers = random.Random(seed), Counter(), []
    with tempfile.TemporaryDirectory(prefix="kill-owners-") as name:
        folder = Path(name)
        kinds = owners(folder)
        for number in range(rounds):
            kind = list(kinds)[number % len(kinds)]
            after_s = chosen.uniform(0.05, longest_s)
            mark = f"{os.getpid()}-{number}"
            for line in kill_one(kinds[kind], after_s, mark, folder, late_s):
                leftovers.append(f"{kind}, killed after {after_s:.2f} s: {line}")
            rounds_of[kind] += 1
    return rounds_of, leftovers


def main() -> int:
    """Run as the options say; the exit code is the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same moments")
    options = parser.parse_args()
    rounds_of, leftovers = trial(options.seed, options.rounds)
    for kind, count in rounds_of.items():
        print(f"{count:>5}  {kind}")
    print(f"processes that stayed: {len(leftovers)}", *leftovers, sep="\n")
    return int(bool(leftovers))


if __name__ == "__main__":
    raise SystemExit(main())
