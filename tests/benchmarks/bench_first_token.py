"""Times the first token of requests whose system prompt is cached, on one processor.

    .venv/bin/python tests/benchmarks/bench_first_token.py [MODEL] [--requests 20] [--most-ms 300]

Starts `serve --profile edge` on processor 0 with a system prompt of 500 tokens. With
LLAMA_CPP_LIB_PATH the kernels are those of another build of llama.cpp (CONTRIBUTING.md has the
commands; -DGGML_AVX=OFF -DGGML_AVX2=OFF -DGGML_FMA=OFF -DGGML_F16C=OFF -DGGML_BMI2=OFF leaves
SSE4.2). Each question is new at first and is then asked again, with its whole prompt cached. The
processor time of server and engine is printed too: other programs change it less. The exit status
is 1 where the median of the new questions is later than `--most-ms`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import psutil

TOKENS = 500
READY_S = 300.0
SENTENCE = "You check the temperatures of a machine and answer in one short sentence. "


@contextmanager
def edge_server(model: str, system_prompt: Path) -> Iterator[tuple[httpx2.Client, psutil.Process]]:
    """A server on processor 0 whose model is loaded and whose system prompt is computed."""
    command = [
        "taskset",
        "--cpu-list",
        "0",
        sys.executable,
        "-m",
        "deepseek_r1",
        "serve",
        "--profile",
        "edge",
        "--port",
        "0",
    ]
    command += ["--system-prompt-file", str(system_prompt), *(["--model", model] if model else [])]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        line = server.stderr.readline()
        if not line.startswith("Listening on "):
            raise SystemExit(line + server.stderr.read())
        with httpx2.Client(base_url=line.split()[-1], timeout=READY_S) as client:
            until = time.monotonic() + READY_S
            while not is_ready(client):
                if server.poll() is not None or time.monotonic() > until:
                    raise SystemExit(server.stderr.read())
                time.sleep(0.1)
            yield client, psutil.Process(server.pid)
    finally:
        server.terminate()
        server.communicate()


def is_ready(client: httpx2.Client) -> bool:
    """Whether requests are answered."""
    try:
        return client.get("/health/ready").status_code == 200
    except httpx2.TransportError:
        return False


def first_token_s(client: httpx2.Client, question: str) -> tuple[float, int, int]:
    """The seconds to the first text of an answer, its prompt's tokens, and those not cached."""
    body = {
        "messages": [{"role": "user", "content": question}],
        "max_tokens": 4,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    began, first, prompt, computed = time.monotonic(), 0.0, 0, 0
    with client.stream("POST", "/v1/chat/completions", json=body) as reply:
        for line in reply.iter_lines():
            if not line.startswith("data: {"):
                continue
            chunk = json.loads(line.removeprefix("data: "))
            delta = chunk["choices"][0]["delta"] if chunk["choices"] else {}
            if not first and (delta.get("content") or delta.get("reasoning_content")):
                first = time.monotonic() - began
            if usage := chunk.get("usage"):
                prompt = usage["prompt_tokens"]
                computed = prompt - usage["prompt_tokens_details"]["cached_tokens"]
    return first, prompt, computed


def cpu_s(process: psutil.Process) -> float:
    """The processor time of a process and its children."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


class Arm:
    """The requests of one kind."""

    def __init__(self, name: str) -> None:
        self._name, self._prompt, self._computed = name, 0, 0
        self._seconds: list[float] = []
        self._worked_s: list[float] = []

    def add(self, seconds: float, prompt: int, computed: int, worked_s: float) -> None:
        """Record a request: its first token, its prompt, and its processor time."""
        self._prompt, self._computed = prompt, computed
        self._seconds.append(seconds)
        self._worked_s.append(worked_s)

    @property
    def median_ms(self) -> float:
        """The median of the first token."""
        return statistics.median(self._seconds) * 1000

    @property
    def text(self) -> str:
        """A line for the terminal."""
        return (
            f"{self._name}: prompt of {self._prompt} tokens, {self._computed} of them computed; "
            f"first token {self.median_ms:.0f} ms (median), {max(self._seconds) * 1000:.0f} ms "
            f"(last); processor time of a whole request "
            f"{statistics.median(self._worked_s) * 1000:.0f} ms (median)"
        )


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("model", nargs="?", default="")
    parser.add_argument("--requests", type=int, default=20)
    parser.add_argument("--most-ms", type=float, default=300.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        system_prompt = Path(folder) / "system.txt"
        system_prompt.write_text(SENTENCE * (TOKENS // 14), encoding="utf-8")
        with edge_server(options.model, system_prompt) as (client, process):
            new, again = Arm("new question"), Arm("asked again")
            for number in range(options.requests):
                question = f"{40 + number} degrees. Is that hot?"
                for arm in (new, again):
                    before = cpu_s(process)
                    arm.add(*first_token_s(client, question), cpu_s(process) - before)
    for arm in (new, again):
        print(arm.text)
    print(f"load of the machine {os.getloadavg()[0]:.1f}")
    return 0 if new.median_ms <= options.most_ms else 1


if __name__ == "__main__":
    sys.exit(main())
