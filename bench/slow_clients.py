"""A server beside clients that send slowly: half requests, crumbs, and many connections.

    .venv/bin/python bench/slow_clients.py [--half 300] [--crumbs 8] [--idle 200]

Beside them an honest client streams answers and `/health` is asked ten times a second. Printed are
what one `/health` of twenty takes longer than, the slowest, the honest client's tokens a second
beside those without the others, and when the last half request was closed. Afterwards 160 half
requests meet a server with `ulimit -n 128`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx2

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "app"), str(ROOT / "tests")]

from deepseek_r1.core.paths import starter_model
from support.servers import RunningServer, started

HALF = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = HALF + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
BODY = {"prompt": "One, two,", "max_tokens": 120, "seed": 1, "stream": True, "stop": []}
ASKED_EVERY_S = 0.1
MOST_HEALTH_S, LEAST_SHARE, CLOSED_S = 0.1, 0.8, 15.0


def honest_rate(server: RunningServer, rounds: int = 4) -> float:
    """Tokens a second of answers that are streamed."""
    tokens, began = 0, time.monotonic()
    with httpx2.Client(base_url=server.address, timeout=120) as http:
        for _ in range(rounds):
            with http.stream("POST", "/v1/completions", json=BODY) as reply:
                lines = [line for line in reply.iter_lines() if line.startswith("data: {")]
            tokens += sum(bool(json.loads(line[6:])["choices"]) for line in lines)
    return tokens / (time.monotonic() - began)


class Health:
    """Asks `/health` over and over in a thread, and notes the slowest reply."""

    def __init__(self, server: RunningServer) -> None:
        self._taken_s: list[float] = []
        self._ended = threading.Event()
        self._address = f"{server.address}/health"
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Health:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        with httpx2.Client(timeout=60) as http:
            while not self._ended.wait(ASKED_EVERY_S):
                began = time.monotonic()
                assert http.get(self._address).status_code == 200
                self._taken_s.append(time.monotonic() - began)

    @property
    def late_s(self) -> float:
        """What one reply of twenty takes longer than."""
        return sorted(self._taken_s)[-1 - len(self._taken_s) // 20]

    def __str__(self) -> str:
        return f"{self.late_s * 1000:.0f} (at most {max(self._taken_s) * 1000:.0f}) ms"


def connections(server: RunningServer, count: int, sent: bytes, stack: ExitStack) -> list:
    """Connections that have sent a beginning."""
    host, _, port = server.address.removeprefix("http://").partition(":")
    made = []
    for _ in range(count):
        made.append(stack.enter_context(socket.create_connection((host, int(port)), 60)))
        made[-1].sendall(sent)
    return made


def last_closed_s(held: list[socket.socket]) -> float:
    """When the server has closed all of them, in seconds from now."""
    began = time.monotonic()
    for each in held:
        try:
            while each.recv(1 << 16):
                pass
        except ConnectionError:
            pass
    return time.monotonic() - began


def crumbs(server: RunningServer) -> None:
    """Send bodies in chunks of one byte until the process is ended."""
    while True:
        with ExitStack() as stack:
            (each,) = connections(server, 1, CHUNKED, stack)
            try:
                for _ in range(2000):
                    each.sendall(b"1\r\n \r\n" * 1000)
            except OSError:
                pass  # the server has refused it


def trial(
    name: str, server: RunningServer, quiet: float, attack: Callable[[ExitStack], list]
) -> bool:
    """Measure beside one kind of clients. Returns whether all was as promised."""
    with ThreadPoolExecutor() as pool, ExitStack() as stack, Health(server) as health:
        held = attack(stack)
        closing = pool.submit(last_closed_s, held)
        rate = honest_rate(server)
        closed_s = closing.result()
        closed = f", all closed after {closed_s:.1f} s" if held else ""
    share = rate / quiet
    print(
        f"{name}: /health {health}, honest answers {rate:.1f} of "
        f"{quiet:.1f} tokens a second ({share:.2f}){closed}",
        flush=True,
    )
    return health.late_s <= MOST_HEALTH_S and share >= LEAST_SHARE and closed_s <= CLOSED_S


def main() -> int:
    """Run the command line; the exit status is 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--half", type=int, default=300)
    parser.add_argument("--crumbs", type=int, default=8)
    parser.add_argument("--idle", type=int, default=200)
    options = parser.parse_args()
    with started(starter_model()) as server:
        honest_rate(server, 1)
        with Health(server) as calm:
            quiet = honest_rate(server)
        print(f"without them: /health {calm}", flush=True)

        def send_crumbs(stack: ExitStack) -> list:
            for _ in range(options.crumbs):  # processes of their own: they would hold up Health
                sender = multiprocessing.Process(target=crumbs, args=(server,))
                sender.start()
                stack.callback(sender.kill)
            return []

        kept = [
            trial(
                f"{options.half} half requests",
                server,
                quiet,
                lambda stack: connections(server, options.half, HALF, stack),
            ),
            trial(
                f"{options.idle} connections",
                server,
                quiet,
                lambda stack: connections(server, options.idle, b"", stack),
            ),
            trial(f"chunks of one byte by {options.crumbs} clients", server, quiet, send_crumbs),
        ]
    few = (128, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    with (
        started(
            starter_model(), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, few)
        ) as server,
        ExitStack() as stack,
        Health(server) as health,
    ):
        connections(server, 160, HALF, stack)
        time.sleep(2)
        honest_rate(server, 1)
    print(f"ulimit -n 128, 160 half requests: /health {health}")
    return int(not all(kept) or health.late_s > MOST_HEALTH_S)


if __name__ == "__main__":
    raise SystemExit(main())
