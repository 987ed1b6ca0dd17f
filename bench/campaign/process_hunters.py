"""Hunters of processes: hostile clients, owners that are killed, files that shrink; see `campaign`.

Processes are found by a variable of their environment, in /proc.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from bench.campaign.campaign import Case
from bench.campaign.hostile_clients import KEY, Client, Seen
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.processes import ChildKind
from deepseek_r1.memory.meter import unshared_mib
from support.ggml_files import FAMILIES
from support.patience import PATIENCE_S
from support.processes import programs_below
from support.servers import RunningServer, started

APP = Path(__file__).resolve().parents[2] / "app"


# ---- requests -------------------------------------------------------------------------------

CLIENTS = 4
SETTLED = 400  # requests, after which the server's caches are full
MOST_GROWTH_MIB = 24.0


def requests(seed: int, _folder: Path) -> Iterator[Case]:
    """Hostile clients of a server: no status 500, nothing without the key, no growth, no end."""
    limits = ("--max-tokens", "100", "--max-queue", "6")
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(
            started(starter_model(), *limits, key=KEY, context_length=2048)
        )
        threading.Thread(target=sys.stderr.writelines, args=(server.process.stderr,)).start()
        pids, settled_mib, seen = server_pids(server), 0.0, Seen()
        clients = [Client(server.address, seed + i, seen) for i in range(CLIENTS)]
        for client in clients:
            stack.callback(client.close)
        for number in range(0, 10**9, CLIENTS):
            before, faults = seen.kinds.copy(), len(seen.faults)
            threads = [threading.Thread(target=client.do_one_thing) for client in clients]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            bad = seen.faults[faults:]
            if server_pids(server) != pids:
                pids = server_pids(server)
                bad.append("the server or its engine has ended")
            grown_mib = sum(map(unshared_mib, pids)) - settled_mib
            if number <= SETTLED:
                settled_mib += grown_mib
            elif grown_mib > MOST_GROWTH_MIB:
                settled_mib += grown_mib
                bad.append(f"memory grew by {grown_mib:.0f} MiB")
            kinds = " and ".join((seen.kinds - before).elements())
            for kind in (seen.kinds - before).elements():
                yield Case(kind, "; ".join(bad), f"{kinds}: {bad}")
                bad = []


def server_pids(server: RunningServer) -> list[int]:
    """The server's process and its engine's."""
    assert server.process.poll() is None, "the server has ended"
    engines = programs_below(server.process.pid, ChildKind.ENGINE.value.module)
    return [server.process.pid, *(each.pid for each in engines)]


# ---- owners that are killed -----------------------------------------------------------------

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
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
    return [line for _, line in left]


def kills(seed: int, folder: Path) -> Iterator[Case]:
    """Owners of child processes, killed at any moment: none of their processes stays."""
    chosen, kinds = random.Random(seed), owners(folder)
    for number in range(10**9):
        kind = list(kinds)[number % len(kinds)]
        after_s = chosen.uniform(0.05, 6.0)
        mark = f"{os.getpid()}-{number}"
        left = kill_one(kinds[kind], after_s, mark, folder, LATE_S)
        bad = f"{kind}, killed after {after_s:.2f} s, left {left}" if left else ""
        yield Case(kind, bad, bad)


# ---- a streamed model's file that becomes shorter -------------------------------------------

STREAMER = """
import sys
from deepseek_r1 import CPUInference
from deepseek_r1.errors import R1Error
try:
    with CPUInference(
        sys.argv[1], context_length=4096, memory_budget=256, swap_enabled=True
    ) as model:
        print("loaded", flush=True)
        for _ in range(3):
            model.generate("Tell a long story of a whale. " * 20, 60)
    print("answered")
except R1Error as error:
    print(type(error).__name__)
"""


def truncations(seed: int, folder: Path) -> Iterator[Case]:
    """A file that becomes shorter while the library streams it: an error, and no process ends."""
    chosen, path = random.Random(seed), folder / "model.gguf"
    data = starter_model().read_bytes()
    path.write_bytes(data)
    while True:
        after_s, size = chosen.uniform(0.0, 2.0), chosen.randrange(len(data) // 2, len(data))
        verdict, bad = truncated_while_it_answers(path, after_s, size)
        with path.open("r+b") as file:
            file.seek(size)
            file.write(data[size:])
        yield Case(verdict, bad, f"{after_s:.3f} s after the load, to {size} bytes: {bad}")


def truncated_while_it_answers(path: Path, after_s: float, size: int) -> tuple[str, str]:
    """What the program said; and why that breaks a promise."""
    with subprocess.Popen(
        [sys.executable, "-c", STREAMER, str(path)],
        env={**os.environ, "PYTHONPATH": str(APP)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        program.stdout.readline()
        time.sleep(after_s)
        os.truncate(path, size)
        try:
            said, complaints = program.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            program.kill()
            return "hung", "the program did not end"
    if program.returncode:
        return f"status {program.returncode}", complaints[-2000:] or "it died"
    return said.strip(), ""


PROCESS_HUNTERS = {"requests": requests, "kills": kills, "truncations": truncations}
