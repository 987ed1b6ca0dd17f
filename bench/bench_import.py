"""Imports a long conversation: seconds, memory beyond what there was, waits of others in the store.

bench/bench_import.py [--messages 200000] [--characters 60]

With `--chats 10000` it imports so many, in ChatGPT's form, half of them Chinese, into the real
window: seconds, its memory beyond what there was, and the longest stall of its event loop.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bench.runner import machine
from r1desk.store import Store, StoreThread
from r1desk.store.imports import import_export
from support.foreign_exports import chatgpt_chat, write_chatgpt
from window.measured_process import MeasuredProcess

EVERY_S = 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--characters", type=int, default=60, help="of each message")
    parser.add_argument("--chats", type=int, default=0)
    options = parser.parse_args()
    if options.chats:
        with tempfile.TemporaryDirectory() as folder:
            found = measure_window(Path(folder), options.chats)
        print(json.dumps(found | {"machine": machine()}))
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "chain.json"
        write_chain(file, options.messages, "x" * options.characters)
        print(json.dumps(measure(file) | {"machine": machine()}))


def write_chain(file: Path, count: int, text: str) -> None:
    """An export of one conversation without branches."""
    with file.open("w", encoding="utf-8") as opened:
        opened.write('{"conversations": [{"title": "Chain", "messages": [')
        for number in range(count):
            message = {
                "number": number,
                "parent": number - 1 if number else None,
                "role": "assistant" if number % 2 else "user",
                "content": f"{number} {text}",
            }
            opened.write((",\n" if number else "") + json.dumps(message))
        opened.write("]}]}")


SENTENCES = (
    "The light of the sun has all colours, and the air sends the short waves to all sides. ",
    "太阳光包含各种颜色的光，空气把波长较短的光散射到四面八方。",
)


def write_chats(file: Path, count: int) -> None:
    """An export of ChatGPT with conversations of 2 to 8 turns."""
    chosen = random.Random(1)
    chats = (
        chatgpt_chat(n, chosen.choice((1, 2, 3, 7)), SENTENCES[n % 2] * chosen.choice((2, 5, 12)))
        for n in reversed(range(count))  # the latest first, as ChatGPT has them
    )
    write_chatgpt(file, chats)


def measure_window(folder: Path, count: int) -> dict[str, float]:
    """Import into a window of its own process."""
    write_chats(folder / "export.zip", count)
    env = os.environ | {"R1DESK_PROFILE": str(folder / "profile")}
    with MeasuredProcess(["-m", "window.measured_window", "--scripted"], env) as window:
        window.hear("ready")
        time.sleep(2.0)
        process, done = psutil.Process(window.pid), threading.Event()
        before = peak = process.memory_info().rss

        def watch() -> None:
            nonlocal peak
            while not done.wait(EVERY_S):
                peak = max(peak, process.memory_info().rss)

        watcher = threading.Thread(target=watch)
        watcher.start()
        started_s, used_s = time.monotonic(), process.cpu_times()
        window.tell("import", path=str(folder / "export.zip"))
        imported = window.hear("imported")
        taken_s, used = time.monotonic() - started_s - 3.0, process.cpu_times()
        done.set()
        watcher.join()
    return {
        "conversations": imported["conversations"],
        "import_s": round(taken_s, 1),
        "window_processor_s": round(used.user + used.system - used_s.user - used_s.system, 1),
        "memory_more_mib": round((peak - before) / 2**20, 1),
        "longest_stall_ms": imported["longest_stall_ms"],
    }


def measure(file: Path) -> dict[str, float]:
    """Import `file` into a store of its own, as the window does it."""
    store = StoreThread(file.with_suffix(".db"))
    store.opened.result()
    before_mib = _own_mib()
    waits_s, peaks_mib = [0.0], [before_mib]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(EVERY_S):
            asked_s = time.monotonic()
            store.submit(lambda opened: opened.conversations.infos()).result()
            waits_s.append(time.monotonic() - asked_s)
            peaks_mib.append(_own_mib())

    def run(work: Callable[[Store], Any]) -> Any:
        return store.submit(work).result()

    watcher = threading.Thread(target=watch)
    watcher.start()
    started_s = time.monotonic()
    try:
        import_export(run, file, threading.Event())
    finally:
        done.set()
        watcher.join()
        store.close()
    return {
        "file_mib": round(file.stat().st_size / 2**20, 1),
        "import_s": round(time.monotonic() - started_s, 1),
        "memory_more_mib": round(max(peaks_mib) - before_mib, 1),
        "longest_wait_s": round(max(waits_s), 2),
    }


def _own_mib() -> float:
    return float(psutil.Process().memory_info().rss) / 2**20


if __name__ == "__main__":
    main()
