"""Puts load on a running server and times its answers, in a closed loop or an open one.

In a closed loop each user sends the next request when the answer has ended, so a slow server gets
fewer. In an open loop requests come at a rate of their own, as those of many people do: the times
between them are exponential, and a server that is too slow gets a queue. Chat completions are
streamed.
"""

import json
import math
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

from deepseek_r1.lab.errors import ServerUnreachable

PERCENTILES = (50, 95, 99)
LOAD_SHARE = 0.7  # of a machine's highest rate: requests do not come evenly
_TIMEOUT_S = 600.0
_SEED = 1  # of the times between requests: every run has the same
_METRICS = re.compile(
    r"^deepseek_r1:engine_(cpu_seconds|memory_peak_mib) (\S+)$", flags=re.MULTILINE
)


@dataclass
class LoadTimes:
    """The times of one run in seconds, of all users together."""

    users: int = 0  # of a closed loop
    rate: float = 0.0  # of an open loop, in requests per second
    seconds: float = 0.0
    tokens: int = 0
    errors: int = 0
    first_s: list[float] = field(default_factory=list)  # from a request to its first text
    between_s: list[float] = field(default_factory=list)  # the mean between tokens of an answer
    cpu_s: float = 0.0  # processor time of the engine; 0 where the server does not report it
    peak_mib: float = 0.0  # memory of the engine; 0 likewise

    def report(self) -> dict[str, float | int]:
        seconds = max(self.seconds, 1e-9)
        report: dict[str, float | int] = {
            **({"rate": self.rate} if self.rate else {"users": self.users}),
            "requests_s": round(len(self.first_s) / seconds, 3),
            "tokens_s": round(self.tokens / seconds, 2),
            "errors": self.errors,
            "cores": round(self.cpu_s / seconds, 2),
            "engine_peak_mib": round(self.peak_mib, 1),
        }
        for share in PERCENTILES:
            report[f"first_token_p{share}_s"] = round(percentile(self.first_s, share), 4)
            report[f"between_tokens_p{share}_s"] = round(percentile(self.between_s, share), 4)
        return report


def percentile(values: list[float], share: int) -> float:
    """Returns the smallest value that `share` percent of the values do not exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)] if ordered else 0.0


def machines_for(wanted_rate: float, measured_rate: float) -> int:
    """Return the machines for `wanted_rate` requests per second, each loaded to `LOAD_SHARE`."""
    return math.ceil(wanted_rate / (measured_rate * LOAD_SHARE) - 1e-9)


class ServerLoad:
    """Measures one server."""

    def __init__(self, url: str, key: str, tokens: int, prompt_tokens: int) -> None:
        """`tokens` is the length of answers, `prompt_tokens` about that of prompts.

        Raises ServerUnreachable.
        """
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # An open loop has any number of users. Each request has a connection of its own, because a
        # server may close one that rests at the moment at which it is used again.
        unlimited = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        self._client = httpx2.Client(
            base_url=url, headers=headers, timeout=_TIMEOUT_S, limits=unlimited
        )
        self._tokens, self._repeats = tokens, max(1, prompt_tokens - 24)
        self._runs = 0
        try:
            listed = self._client.get("/v1/models").raise_for_status().json()
            self.model = str(listed["data"][0]["id"])
        except (httpx2.HTTPError, ValueError, LookupError, TypeError) as error:
            raise ServerUnreachable(url=url, detail=str(error)) from error
        self._lock = threading.Lock()

    def close(self) -> None:
        self._client.close()

    def run(self, users: int, requests: int) -> LoadTimes:
        """Let `users` threads send `requests` each; return the times. A first run is a warm-up."""
        times = LoadTimes(users=users)
        threads = [
            threading.Thread(target=self._user, args=(number, requests, times), daemon=True)
            for number in range(users)
        ]
        with self._measured(times):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        return times

    def run_open(self, rate: float, seconds: float) -> LoadTimes:
        """Send `rate` requests a second on average for `seconds`; return when all are answered."""
        times = LoadTimes(rate=rate)
        threads: list[threading.Thread] = []
        pauses = random.Random(_SEED)  # noqa: S311 - no secret
        with self._measured(times):
            began = due = time.monotonic()
            while (due := due + pauses.expovariate(rate)) < began + seconds:
                time.sleep(max(0.0, due - time.monotonic()))
                question = f"Request {len(threads)}. "
                thread = threading.Thread(target=self._ask, args=(question, times), daemon=True)
                thread.start()
                threads.append(thread)
            for thread in threads:
                thread.join()
        return times

    @contextmanager
    def _measured(self, times: LoadTimes) -> Iterator[None]:
        """Measure the time of the block, and what the server reports of its engine."""
        self._runs += 1  # so its questions are new ones, whose prompts are not cached
        before, began = self._engine(), time.monotonic()
        yield
        times.seconds, after = time.monotonic() - began, self._engine()
        times.cpu_s = max(0.0, after.get("cpu_seconds", 0.0) - before.get("cpu_seconds", 0.0))
        times.peak_mib = after.get("memory_peak_mib", 0.0)

    def _engine(self) -> dict[str, float]:
        """Return the engine's metrics; none where a gateway, say, has no such metrics."""
        try:
            response = self._client.get("/metrics")
        except httpx2.HTTPError:
            return {}
        return {name: float(value) for name, value in _METRICS.findall(response.text)}

    def _user(self, number: int, requests: int, times: LoadTimes) -> None:
        for turn in range(requests):
            self._ask(f"User {number}, question {turn}. ", times)

    def _ask(self, question: str, times: LoadTimes) -> None:
        try:
            first_s, total_s, tokens = self._answer(question)
        except (httpx2.HTTPError, ValueError, LookupError):
            with self._lock:
                times.errors += 1
            return
        with self._lock:
            times.first_s.append(first_s)
            times.tokens += tokens
            if tokens > 1:
                times.between_s.append((total_s - first_s) / (tokens - 1))

    def _answer(self, beginning: str) -> tuple[float, float, int]:
        """Return the seconds to the first text, those of the whole answer, and its tokens."""
        question = f"Run {self._runs}. {beginning}{'word ' * self._repeats}"
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": question}],
            "max_tokens": self._tokens,
            "temperature": 1.0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        began, first_s, tokens = time.monotonic(), 0.0, 0
        with self._client.stream("POST", "/v1/chat/completions", json=body) as response:
            response.raise_for_status()
            for chunk in _chunks(response.iter_lines()):
                if "error" in chunk:
                    raise ValueError(chunk["error"])
                if not first_s and _has_text(chunk):
                    first_s = time.monotonic() - began
                if chunk.get("usage"):
                    tokens = int(chunk["usage"]["completion_tokens"])
        total_s = time.monotonic() - began
        return first_s or total_s, total_s, tokens


def _chunks(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line.removeprefix("data: "))


def _has_text(chunk: dict[str, Any]) -> bool:
    choices = chunk.get("choices")
    delta = choices[0].get("delta", {}) if isinstance(choices, list) and choices else {}
    return bool(delta.get("content") or delta.get("reasoning_content"))
