"""Three replicas with half a core and 512 MiB each, behind a gateway, and one such replica alone.

    sudo .venv/bin/python tests/benchmarks/bench_replicas.py [MODEL] --gateway smg [--program PATH]
        [--blocks 3] [--seconds 20] [--tokens 32] [--json]

Each replica is `deepseek-r1 serve` in a control group of its own; the gateway has the arguments or
the file of `deepseek-r1 cluster`. It measures

- throughput: tokens a second of one replica with two users, and of all behind the gateway with two
  users for each, in blocks of one, all, all, one;
- conversations: twelve of four turns, four at a time; the share of their prompts' tokens, from the
  second turn on, that was cached;
- a replica that is killed under load: the requests that failed before their first byte, and after;
- a replica that is drained (SIGTERM) under load, and started again: the requests that failed.

Linux as root only. The exit status is 1 where the throughput is below 2.8 times that of one, or
where a request failed other than those that the killed replica was already answering.
"""

from __future__ import annotations

import itertools
import json
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine_limits import MemoryGroup
from benchmarks.runner import Report, argument_parser, in_turns, middle, ratio
from deepseek_r1.server.gateway import SESSION_HEADER, haproxy_configuration, smg_arguments
from support.servers import RunningServer, foreign_server, free_port, start

CORES, MEMORY_MIB = 0.5, 512
REPLICAS, USERS_EACH, PER_SERVER = 3, 2, 8
GOAL = 2.8
TURNS, CONVERSATIONS, AT_ONCE = 4, 12, 4
SETTLE_S = 6.0  # the gateway's health checks
LONGEST_S = 300.0
WORDS = "The pump of the third machine is warm and its pressure falls slowly. "


class Replica:
    """A server under limits that can be ended and started again on its port."""

    def __init__(self, model: Path) -> None:
        self._model, self._port = model, free_port()
        self.group = MemoryGroup(MEMORY_MIB, cores=CORES)
        self.server = self.start()

    def start(self) -> RunningServer:
        """Start it, and wait until its model is loaded."""
        self.server = start(
            self._model, "--port", str(self._port), context_length=2048, preexec_fn=self.group.join
        )
        return self.server

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it by a signal, and wait for its end."""
        self.server.process.send_signal(how)
        self.server.process.communicate()


@dataclass(frozen=True)
class Outcome:
    """The outcome of one request: counts of tokens, the answer's text, and the error if any."""

    tokens: int = 0
    prompt: int = 0
    cached: int = 0
    text: str = ""
    first_byte: bool = False
    error: str = ""


class Front:
    """A client of one address, a gateway's or a replica's. For any number of threads."""

    def __init__(self, address: str, tokens: int) -> None:
        self._client = httpx2.Client(
            base_url=address, timeout=LONGEST_S, limits=httpx2.Limits(max_connections=None)
        )
        self._tokens = tokens
        self.model = self._client.get("/v1/models").raise_for_status().json()["data"][0]["id"]

    def ask(self, messages: list[dict[str, str]], session: str = "") -> Outcome:
        """Send a conversation and read the whole answer."""
        body = {
            "model": self.model,
            "messages": messages,
            "max_tokens": self._tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        headers = {SESSION_HEADER: session} if session else {}
        text, began, usage = "", False, {}
        try:
            with self._client.stream(
                "POST", "/v1/chat/completions", json=body, headers=headers
            ) as reply:
                if reply.status_code != 200:
                    return Outcome(error=f"status {reply.status_code}: {reply.read()[:200]!r}")
                for line in reply.iter_lines():
                    began = True
                    if not line.startswith("data: {"):
                        continue
                    chunk = json.loads(line.removeprefix("data: "))
                    if "error" in chunk:
                        return Outcome(first_byte=True, error=str(chunk["error"]))
                    usage = chunk.get("usage") or usage
                    for choice in chunk["choices"]:
                        text += choice["delta"].get("content") or ""
        except httpx2.HTTPError as error:
            return Outcome(first_byte=began, error=repr(error))
        if not usage:
            return Outcome(first_byte=began, error="the stream ended early")
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        return Outcome(usage["completion_tokens"], usage["prompt_tokens"], cached, text, began)

    def load(self, users: int, seconds: float, meanwhile: Callable[[], None] | None = None) -> Load:
        """Let users ask again and again for `seconds`, or until `meanwhile` has returned."""
        return Load(self, users).run(seconds, meanwhile)


class Load:
    """A closed loop: users who ask the next question when the answer has ended."""

    _numbers = itertools.count()

    def __init__(self, front: Front, users: int) -> None:
        self._front, self._users = front, users
        self._ending = threading.Event()
        self.outcomes: list[Outcome] = []
        self.seconds = 0.0

    def run(self, seconds: float, meanwhile: Callable[[], None] | None) -> Load:
        """Ask until the time is over."""
        began = time.monotonic()
        threads = [threading.Thread(target=self._user) for _ in range(self._users)]
        for thread in threads:
            thread.start()
        if meanwhile is not None:
            meanwhile()
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        self._ending.set()
        for thread in threads:
            thread.join()
        self.seconds = time.monotonic() - began
        return self

    def _user(self) -> None:
        while not self._ending.is_set():
            content = f"{next(self._numbers)}. {WORDS * 2}What has to be done?"
            self.outcomes.append(self._front.ask([{"role": "user", "content": content}]))

    @property
    def rate(self) -> float:
        """Tokens a second of the answers."""
        return sum(each.tokens for each in self.outcomes) / self.seconds

    @property
    def failures(self) -> list[Outcome]:
        """The requests without a whole answer."""
        return [each for each in self.outcomes if each.error]


def gateway_command(program: str, servers: list[str], port: int, folder: Path) -> list[str]:
    """Return the command of a gateway before these servers."""
    if Path(program).name == "haproxy":
        file = folder / "haproxy.cfg"
        text = haproxy_configuration(servers, "127.0.0.1", port, PER_SERVER)
        file.write_text(text, encoding="utf-8")
        return [program, "-db", "-f", str(file)]
    command = [program, *smg_arguments(servers, "127.0.0.1", port)]
    return [*command, "--prometheus-port", str(free_port())]


def throughput(front: Front, alone: Front, blocks: int, seconds: float) -> dict[str, Any]:
    """Measure the tokens a second of one replica and of all, in turns."""
    failed = 0

    def rate(arm: str, _block: int) -> float:
        nonlocal failed
        users = USERS_EACH if arm == "one" else USERS_EACH * REPLICAS
        load = (alone if arm == "one" else front).load(users, seconds)
        failed += len(load.failures)
        return load.rate

    rates = in_turns(["one", "all"], blocks, rate, warm_up=0)
    medians = {arm: middle(runs) for arm, runs in rates.items()}
    return {**medians, **ratio(rates["all"], rates["one"])._asdict(), "failed": failed}


def conversation(front: Front, number: int) -> list[Outcome]:
    """Have one conversation, and return the outcome of each turn."""
    messages: list[dict[str, str]] = []
    outcomes = []
    for turn in range(TURNS):
        content = f"Conversation {number}, question {turn}. {WORDS * 2}"
        messages.append({"role": "user", "content": content})
        outcomes.append(front.ask(messages, session=f"conversation-{number}"))
        messages.append({"role": "assistant", "content": outcomes[-1].text})
    return outcomes


def prefix_hits(front: Front) -> dict[str, Any]:
    """Return the share of the tokens of later turns' prompts that the replicas had cached."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = list(pool.map(lambda number: conversation(front, number), range(CONVERSATIONS)))
    later = [outcome for turns in done for outcome in turns[1:]]
    # Less than half of the turn before is cached: another replica, or one that dropped the cells.
    cold = sum(
        now.cached < before.prompt // 2
        for turns in done
        for before, now in itertools.pairwise(turns)
    )
    return {
        "cached_share": sum(each.cached for each in later) / sum(each.prompt for each in later),
        "turns": len(later),
        "cold_turns": cold,
        "failed": sum(bool(each.error) for turns in done for each in turns),
    }


def killed(front: Front, replica: Replica, seconds: float) -> dict[str, Any]:
    """Kill a replica in the middle of a load, and start it again afterwards."""

    def kill() -> None:
        time.sleep(seconds / 3)
        replica.end(signal.SIGKILL)

    load = front.load(USERS_EACH * REPLICAS, seconds, kill)
    replica.start()
    time.sleep(SETTLE_S)
    before = [each.error for each in load.failures if not each.first_byte]
    return {
        "requests": len(load.outcomes),
        "failed_before_first_byte": len(before),
        "failed_after_first_byte": len(load.failures) - len(before),
        "errors": sorted({each.error for each in load.failures}),
    }


def drained(front: Front, replica: Replica, seconds: float) -> dict[str, Any]:
    """Drain a replica in the middle of a load and add it back under the same load."""

    def drain() -> None:
        time.sleep(seconds / 4)
        replica.end()
        time.sleep(seconds / 4)
        replica.start()
        time.sleep(SETTLE_S)

    load = front.load(USERS_EACH * REPLICAS, seconds, drain)
    return {
        "requests": len(load.outcomes),
        "failed": len(load.failures),
        "errors": sorted({each.error for each in load.failures}),
    }


def main() -> int:
    """Run the command line."""
    parser = argument_parser(__doc__)
    parser.add_argument("--gateway", choices=("haproxy", "smg"), default="haproxy")
    parser.add_argument("--program", default="")
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--tokens", type=int, default=32)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the servers are ended too
    program = options.program or shutil.which(options.gateway)
    if not program:
        raise SystemExit(f"{options.gateway} is not installed")
    report = Report(options, gateway=options.gateway, arms="one, all", blocks=options.blocks)
    result: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        replicas = []
        for _ in range(REPLICAS):
            replicas.append(Replica(options.model))
            stack.callback(replicas[-1].group.remove)
            stack.callback(replicas[-1].end)
        servers, port = [each.server.address for each in replicas], free_port()
        address = f"http://127.0.0.1:{port}"
        command = gateway_command(program, servers, port, folder)
        stack.enter_context(foreign_server(command, f"{address}/v1/models"))
        front, alone = Front(address, options.tokens), Front(servers[0], options.tokens)
        steps: dict[str, Callable[[], dict[str, Any]]] = {
            "throughput": lambda: throughput(front, alone, options.blocks, options.seconds),
            "conversations": lambda: prefix_hits(front),
            "killed": lambda: killed(front, replicas[1], options.seconds),
            "drained": lambda: drained(front, replicas[1], options.seconds),
        }
        for name, step in steps.items():
            result[name] = step()
            report.row(f"{name} {json.dumps(result[name])}", step=name, **result[name])
        peaks = [round(each.group.peak_mib) for each in replicas]
        report.row(f"peaks {peaks} MiB", peaks_mib=peaks)
    report.end()
    lost = sum(result[name]["failed"] for name in ("throughput", "conversations", "drained"))
    lost += result["killed"]["failed_before_first_byte"]
    return int(result["throughput"]["ratio"] < GOAL or lost > 0)


if __name__ == "__main__":
    sys.exit(main())
