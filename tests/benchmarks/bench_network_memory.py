"""The memory of the window's process through a list of a repository and a download.

    python tests/benchmarks/bench_network_memory.py

Starts the real window with a scripted engine, opens the chooser, lists a repository of a server on
this computer and downloads files from it. Prints the process's memory after each step: resident,
proportional (PSS) and unique MiB. Ends with 1 where a library of the network was loaded.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS.parent / "app"), str(TESTS)]

import psutil

from support.gguf_files import tiny_qwen2
from support.hub_server import hub_server, page
from window.measured_process import MeasuredProcess

MIB = 1 << 20
NETWORK_MODULES = ["httpx2", "httpcore2", "anyio", "certifi", "h11", "ssl"]
TYPES = ("Q4_K_M", "Q8_0")
SETTLE_S = 2.0


def main() -> int:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        os.environ.pop(name, None)
        os.environ.pop(name.lower(), None)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["R1DESK_PROFILE"] = str(Path(folder) / "profile")
        content = tiny_qwen2(Path(folder) / "tiny.gguf").read_bytes()
        files = {f"m-{kind}.gguf": content for kind in TYPES}
        loaded = measure(files)
    print(f"libraries of the network in the window's process: {', '.join(loaded) or 'none'}")
    return bool(loaded)


def measure(files: dict[str, bytes]) -> list[str]:
    """Print the memory after each step; return the libraries of the network that are loaded."""
    command = ["-m", "window.measured_window", "--scripted"]
    with hub_server(files).running() as server, MeasuredProcess(command) as window:
        window.hear("ready")
        show(window, "after the start")
        window.tell("open_hub")
        window.hear("opened")
        show(window, "chooser open")
        for kind in TYPES:
            window.tell("list", address=f"{page(server)}:{kind}")
            for _ in range(2):
                window.hear("listed")
            show(window, "after a list")
            window.tell("pull")
            window.hear("pulled")
            show(window, "after a download")
        window.tell("modules", names=NETWORK_MODULES)
        loaded: list[str] = window.hear("modules")["loaded"]
    return loaded


def show(window: MeasuredProcess, step: str) -> None:
    time.sleep(SETTLE_S)
    memory = psutil.Process(window.pid).memory_full_info()
    print(
        f"{step:18} {memory.rss / MIB:6.1f} MiB resident, {memory.pss / MIB:6.1f} PSS, "
        f"{memory.uss / MIB:6.1f} unique",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
