"""Puts load on a server for hours with clients of all kinds, mostly bad ones; samples its memory.

    python tests/hostile/soak_server.py [--minutes 120] [--clients 12] [--seed 1] [--model FILE]

Some clients ask and read their answer; others leave in its middle or before it, send garbage, half
a request, a word of 1 MB, wrong types, ask for 10^9 tokens, hang, or come without the key. The
exit status is 1 where the server or its engine ended, a reply had status 500, an accepted request
did not end, a path answered without the key, or memory grew by more than `--most-kib` a minute.
That growth is the slope over all but the first quarter of the time. Linux and macOS.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from deepseek_r1.core.paths import starter_model
from deepseek_r1.memory.meter import unshared_mib
from support.servers import started

KEY = "a-key-for-the-soak-test"
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
END_S, SAMPLE_S = 600.0, 5.0
LIMITS = ("--max-tokens", "100", "--max-queue", "6")
SETTLING = 0.25  # the share of the time in which caches fill
HANG_S = 20.0
WARM_WORD = "word " * 40


@dataclass
class Seen:
    """The outcomes of all requests. All clients' threads add to it."""

    kinds: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def reply(self, kind: str, status: int, text: str) -> None:
        """Count a reply. Status 500 and one that is not OpenAI's error shape are faults."""
        self.statuses[f"{kind} {status}"] += 1
        if status == 500 or (status >= 400 and '"error"' not in text):
            self.faults.append(f"{kind}: status {status}: {text[:200]}")


class Client:
    """One client, which does one thing after the other until the trial ends. For one thread."""

    def __init__(self, address: str, seed: int, seen: Seen, ending: threading.Event) -> None:
        parts = urlsplit(address)
        self._host, self._port = str(parts.hostname), int(parts.port or 0)
        self._http = httpx2.Client(
            base_url=address, timeout=END_S, headers={"Authorization": f"Bearer {KEY}"}
        )
        self._anyone = httpx2.Client(base_url=address, timeout=END_S)
        self._random, self._seen, self._ending = random.Random(seed), seen, ending
        self._kinds: dict[str, Callable[[], None]] = {
            "answer": self.answer,
            "stream": self.stream,
            "leaves": self.leaves,
            "leaves unread": self.leaves_unread,
            "garbage": self.garbage,
            "half a request": self.half_a_request,
            "hangs": self.hangs,
            "long word": self.long_word,
            "wrong types": self.wrong_types,
            "many tokens": self.many_tokens,
            "no key": self.no_key,
            "texts": self.texts,
        }

    def run(self) -> None:
        """Do things, chosen at random, until the trial ends."""
        while not self._ending.is_set():
            kind = self._random.choice(list(self._kinds))
            try:
                self._kinds[kind]()
            except (OSError, httpx2.HTTPError) as error:
                self._seen.faults.append(f"{kind}: {error!r}")
            self._seen.kinds[kind] += 1

    def _body(self, **fields: Any) -> dict[str, Any]:
        words = WARM_WORD * self._random.randrange(1, 5)
        content = f"{self._random.randrange(1000)} {words}"
        most = self._random.choice((1, 8, 40))
        return {"messages": [{"role": "user", "content": content}], "max_tokens": most, **fields}

    def _post(self, kind: str, path: str, body: object) -> None:
        data = json.dumps(body).encode()
        reply = self._http.post(path, content=data, headers={"Content-Type": "application/json"})
        self._seen.reply(kind, reply.status_code, reply.text)

    def answer(self) -> None:
        """Ask, and read the answer."""
        self._post("answer", CHAT, self._body())

    def stream(self) -> None:
        """Read a stream to its end."""
        with self._http.stream("POST", CHAT, json=self._body(stream=True)) as reply:
            text = reply.read().decode()
        self._seen.reply("stream", reply.status_code, text)
        if reply.status_code == 200 and not text.rstrip().endswith("data: [DONE]"):
            self._seen.faults.append(f"stream: it ended with {text[-200:]!r}")

    def leaves(self) -> None:
        """Leave in the middle of a stream."""
        body = self._body(stream=True, max_tokens=400)
        with self._http.stream("POST", CHAT, json=body) as reply:
            lines = reply.iter_lines()
            for _ in range(self._random.randrange(1, 6)):
                next(lines, None)

    def leaves_unread(self) -> None:
        """Send a whole request and leave at once."""
        data = json.dumps(self._body(stream=self._random.random() < 0.5)).encode()
        with self._connection() as connection:
            connection.sendall(self._head(CHAT, len(data)) + data)
            time.sleep(self._random.random())

    def garbage(self) -> None:
        """Send what is no HTTP, or too much of it."""
        some = self._random.randbytes(self._random.randrange(1, 4000))
        lines = self._random.choice(
            (
                some,
                b"GET /" + some.hex().encode() + b" HTTP/1.1\r\n\r\n",
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n{}",
                b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + some,
                b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
                self._head(CHAT, len(some)) + some,
            )
        )
        with self._connection() as connection:
            try:
                connection.sendall(lines)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65_536):
                    pass
            except ConnectionError:
                pass  # the server has closed it, which is right

    def half_a_request(self) -> None:
        """Announce a body and send half of it."""
        data = json.dumps(self._body()).encode()
        with self._connection() as connection:
            connection.sendall(self._head(CHAT, len(data)) + data[: len(data) // 2])

    def hangs(self) -> None:
        """Send the beginning of a request, wait, and leave."""
        with self._connection() as connection:
            connection.sendall(self._head(CHAT, 1000)[: self._random.randrange(10, 90)])
            self._ending.wait(self._random.random() * HANG_S)

    def long_word(self) -> None:
        """Ask with a word of 1 MB."""
        letter = self._random.choice("aé漢\u200b")
        word = letter * ((1 << 20) // len(letter.encode()))
        path = self._random.choice((CHAT, "/tokenize", TEXT))
        body = {CHAT: self._body(messages=[{"role": "user", "content": word}])}
        self._post("long word", path, body.get(path, {"prompt": word, "max_tokens": 1}))

    def wrong_types(self) -> None:
        """Send JSON that is no request."""
        deep: Any = 0
        for _ in range(500):
            deep = [deep]
        wrong = (
            deep,
            None,
            [],
            {"messages": deep},
            self._body(messages=[{"role": "no", "content": 5}]),
            self._body(temperature="hot"),
            self._body(max_tokens=-1),
            self._body(max_tokens=1e400),
            self._body(logit_bias={"x": 1, "99999999999": 5}),
            self._body(stop=["\ud800"] * 9),
            self._body(n=10**9),
            self._body(seed=2**70),
            self._body(response_format={"type": "json_schema", "json_schema": {"schema": deep}}),
            {"prompt": [2**40, -1]},
        )
        path = self._random.choice((CHAT, TEXT, "/tokenize", "/detokenize", "/v1/embeddings"))
        self._post("wrong types", path, self._random.choice(wrong))

    def many_tokens(self) -> None:
        """Ask for 10^9 tokens; the server has a limit of its own."""
        self._post("many tokens", CHAT, self._body(max_tokens=10**9))

    def no_key(self) -> None:
        """Try a path without the key."""
        path = self._random.choice(("/v1/models", "/metrics", "/v1/loads", "/tokenize", CHAT, "/"))
        reply = self._anyone.request(self._random.choice(("GET", "POST")), path)
        self._seen.reply("no key", reply.status_code, reply.text)
        if reply.status_code != 401:
            self._seen.faults.append(f"{path} without the key: status {reply.status_code}")
        if self._anyone.get("/health").status_code != 200:
            self._seen.faults.append("/health did not answer")

    def texts(self) -> None:
        """Tokenise, embed and continue texts."""
        self._post("texts", "/tokenize", {"prompt": WARM_WORD})
        self._post("texts", "/v1/embeddings", {"input": ["one", WARM_WORD]})
        self._post("texts", TEXT, {"prompt": WARM_WORD, "max_tokens": 8, "logprobs": 2})

    def _connection(self) -> socket.socket:
        return socket.create_connection((self._host, self._port), timeout=END_S)

    def _head(self, path: str, length: int) -> bytes:
        return (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        ).encode()


class Watch:
    """Samples the memory of the server's processes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process, self._began = process, time.monotonic()
        self.pids = self._pids()
        self.samples: list[tuple[float, dict[str, float]]] = []  # minutes since the start, MiB each

    def _pids(self) -> dict[str, int]:
        """Return the ids of the server's process and its engine's."""
        children = psutil.Process(self._process.pid).children(recursive=True)
        engine = next(each for each in children if "host.child" in " ".join(each.cmdline()))
        return {"server": self._process.pid, "engine": engine.pid}

    def sample(self) -> None:
        """Take a sample. Raises where the server or its engine has ended."""
        memory = {name: unshared_mib(pid) for name, pid in self.pids.items()}
        self.samples.append(((time.monotonic() - self._began) / 60, memory))

    def alive(self) -> bool:
        """Return whether both are still the processes of the beginning."""
        return self._process.poll() is None and self._pids() == self.pids

    def slope_kib(self, name: str) -> float:
        """Return the growth in KiB a minute, over all but the first quarter."""
        last = self.samples[-1][0]
        late = [(at, each[name]) for at, each in self.samples if at >= last * SETTLING]
        times, values = zip(*late, strict=True)
        return 1024 * statistics.linear_regression(times, values).slope

    def report(self, name: str) -> str:
        """Return a line about the memory of one process."""
        values = [each[name] for _, each in self.samples]
        return (
            f"{name}: {values[0]:.1f} MiB at first, {max(values):.1f} at most, {values[-1]:.1f} at "
            f"the end, slope {self.slope_kib(name):+.1f} KiB for a minute"
        )


def all_ended(address: str) -> bool:
    """Return whether all requests end once the clients are gone."""
    until = time.monotonic() + END_S
    headers = {"Authorization": f"Bearer {KEY}"}
    while time.monotonic() < until:
        loads = httpx2.get(f"{address}/v1/loads", headers=headers, timeout=END_S).json()
        if not loads["aggregate"]["num_total_reqs"]:
            return True
        time.sleep(0.5)
    return False


def soak(address: str, watch: Watch, options: argparse.Namespace) -> Seen:
    """Run all clients for the time of the trial."""
    seen, ending = Seen(), threading.Event()
    clients = [Client(address, options.seed + i, seen, ending) for i in range(options.clients)]
    threads = [threading.Thread(target=each.run) for each in clients]
    for thread in threads:
        thread.start()
    until = time.monotonic() + options.minutes * 60
    while time.monotonic() < until and watch.alive():
        watch.sample()
        ending.wait(SAMPLE_S)
    ending.set()
    for thread in threads:
        thread.join()
    return seen


def main() -> int:
    """Run the command line. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", type=Path, default=None, help="default: the starter")
    parser.add_argument("--most-kib", type=float, default=20.0)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the servers are ended too
    model = options.model or starter_model()
    with started(model, *LIMITS, key=KEY, context_length=2048) as server:
        process = server.process
        threading.Thread(target=sys.stderr.writelines, args=(process.stderr,), daemon=True).start()
        watch = Watch(process)
        seen = soak(server.address, watch, options)
        alive, ended = watch.alive(), all_ended(server.address)
        watch.sample()
    print(f"{watch.samples[-1][0]:.1f} minutes, {sum(seen.kinds.values())} requests")
    for counts in (seen.kinds, seen.statuses):
        print(", ".join(f"{name}: {count}" for name, count in sorted(counts.items())))
    growing = [name for name in watch.pids if watch.slope_kib(name) > options.most_kib]
    for name in watch.pids:
        print(watch.report(name))
    for fault in seen.faults[:20]:
        print("fault:", fault)
    print(
        f"same processes: {alive}; every request ended: {ended}; exit status "
        f"{process.returncode}; faults: {len(seen.faults)}; growing: {growing or 'none'}"
    )
    return int(not alive or not ended or bool(seen.faults or growing or process.returncode))


if __name__ == "__main__":
    sys.exit(main())
