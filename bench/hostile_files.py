"""Five clients that chat beside two that upload hostile files and one that leaves.

    .venv/bin/python bench/hostile_files.py [--seconds 40] [--model FILE]

Each has an address of its own. `/health` is asked ten times a second; one of the five uploads a
line of text with every question. Printed are the first token, that upload and `/health`, without
the three and beside them: the median, and what one of twenty takes longer than.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "app"), str(ROOT / "tests")]

from bench.slow_clients import MOST_HEALTH_S, Health
from deepseek_r1.core.paths import starter_model
from support import document_files
from support.servers import RunningServer, started

CHATS, LEAVES_S = 5, 1.0
SHORT_LINES = b"a\n" * (4 << 20)  # 8 MB
NESTED = b"<table><tr><td>" * 200_000
LONG_PDF = document_files.pdf([document_files.pdf_lines("a")] * 9_900)
FIRST = (LONG_PDF, "long.pdf"), (NESTED, "nested.html")
SECOND = (SHORT_LINES, "lines.txt"), (b"# a" + b" " * 2900 + b"x", "blanks.md")


class Client:
    """One address."""

    def __init__(self, address: str, number: int) -> None:
        transport = httpx2.HTTPTransport(local_address=f"127.0.0.{number + 10}")
        self.http = httpx2.Client(base_url=address, timeout=600, transport=transport)
        self.number = number
        self.first_s: list[float] = []
        self.upload_s: list[float] = []

    def chat(self, ended: threading.Event, *, uploads: bool = False) -> None:
        """Ask one question after the other."""
        turn = 0
        while not ended.is_set():
            turn += 1
            if uploads:
                began = time.monotonic()
                made = self.upload(b"text %d" % turn, "a.txt").json()
                self.upload_s.append(time.monotonic() - began)
                self.http.delete(f"/v1/files/{made['id']}")
            question = {"role": "user", "content": f"{self.number} {turn}: name a river."}
            body = {"messages": [question], "max_tokens": 16, "stream": True}
            began, first_s = time.monotonic(), 0.0
            with self.http.stream("POST", "/v1/chat/completions", json=body) as reply:
                for line in reply.iter_lines():
                    if not first_s and '"content":"' in line and '"content":""' not in line:
                        first_s = time.monotonic() - began
            self.first_s.append(first_s)

    def upload(self, data: bytes, name: str) -> httpx2.Response:
        """Upload a document."""
        files = {"file": (name, data)}
        return self.http.post("/v1/files", files=files, data={"purpose": "user_data"})


def attack(address: str, number: int, files: tuple[tuple[bytes, str], ...]) -> None:
    """Upload one hostile file after the other, until the process is ended."""
    client = Client(address, number)
    while True:
        for data, name in files:
            answer = client.upload(data, name)
            if answer.status_code == 200:
                client.http.delete(f"/v1/files/{answer.json()['id']}")


def leave(address: str, number: int) -> None:
    """Upload a long file, and leave while it is read, until the process is ended."""
    client = Client(address, number)
    client.http.timeout = httpx2.Timeout(600, read=LEAVES_S)
    while True:
        with contextlib.suppress(httpx2.TimeoutException):
            client.upload(LONG_PDF, "long.pdf")


def measure(server: RunningServer, seconds: float, *, hostile: bool) -> tuple[list[Client], Health]:
    """All clients for so long; the hostile ones in processes of their own."""
    attacks = [
        multiprocessing.Process(target=attack, args=(server.address, 5, FIRST)),
        multiprocessing.Process(target=attack, args=(server.address, 6, SECOND)),
        multiprocessing.Process(target=leave, args=(server.address, 7)),
    ]
    for each in attacks if hostile else ():
        each.start()
    ended = threading.Event()
    clients = [Client(server.address, number) for number in range(CHATS)]
    with Health(server) as health, ThreadPoolExecutor(CHATS) as pool:
        chats = [pool.submit(each.chat, ended, uploads=each is clients[0]) for each in clients]
        time.sleep(seconds)
        ended.set()
        for chat in chats:
            chat.result()
    for each in attacks if hostile else ():
        each.kill()
        each.join()
    return clients, health


def shown(seconds: list[float]) -> str:
    late = sorted(seconds)[-1 - len(seconds) // 20]
    return f"{statistics.median(seconds):.2f} s (late {late:.2f} s, {len(seconds)} times)"


def main() -> int:
    """Run the command line; the exit status is 1 where `/health` was late."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--model", type=Path, default=starter_model())
    given = parser.parse_args()
    late_s = 0.0
    with started(given.model, "--parallel", "5", context_length=4096) as server:
        measure(server, min(5.0, given.seconds), hostile=False)  # warm
        for hostile in (False, True):
            clients, health = measure(server, given.seconds, hostile=hostile)
            first = [each for client in clients for each in client.first_s]
            print(
                "beside the three" if hostile else "the five alone",
                f"first token {shown(first)}, upload of a line {shown(clients[0].upload_s)}",
                f"/health {health}",
                sep=": ",
                flush=True,
            )
            late_s = health.late_s
    return int(late_s > MOST_HEALTH_S)


if __name__ == "__main__":
    sys.exit(main())
