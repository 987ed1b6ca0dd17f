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

import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.runner import Report, argument_parser
from support.servers import started

TOKENS = 500
SENTENCE = "You check the temperatures of a machine and answer in one short sentence. "


@dataclass
class Arm:
    """The requests of one kind; counts are those of the last one."""

    prompt: int = 0
    computed: int = 0
    first_ms: list[float] = field(default_factory=list)
    worked_ms: list[float] = field(default_factory=list)

    def ask(self, client: httpx2.Client, process: psutil.Process, question: str) -> None:
        """Send a request and record its first token, its prompt, and its processor time."""
        before_s, began, first_ms = cpu_s(process), time.monotonic(), 0.0
        body = {
            "messages": [{"role": "user", "content": question}],
            "max_tokens": 4,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        with client.stream("POST", "/v1/chat/completions", json=body) as reply:
            for line in reply.iter_lines():
                if not line.startswith("data: {"):
                    continue
                chunk = json.loads(line.removeprefix("data: "))
                delta = chunk["choices"][0]["delta"] if chunk["choices"] else {}
                if not first_ms and (delta.get("content") or delta.get("reasoning_content")):
                    first_ms = (time.monotonic() - began) * 1000
                if usage := chunk.get("usage"):
                    self.prompt = usage["prompt_tokens"]
                    cached = usage["prompt_tokens_details"]["cached_tokens"]
                    self.computed = self.prompt - cached
        self.first_ms.append(first_ms)
        self.worked_ms.append((cpu_s(process) - before_s) * 1000)


def cpu_s(process: psutil.Process) -> float:
    """The processor time of a process and its children."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def main() -> int:
    """Run the command line."""
    parser = argument_parser(__doc__)
    parser.add_argument("--requests", type=int, default=20)
    parser.add_argument("--most-ms", type=float, default=300.0)
    options = parser.parse_args()
    arms = {"new question": Arm(), "asked again": Arm()}
    with tempfile.TemporaryDirectory() as folder:
        prompt = Path(folder) / "system.txt"
        prompt.write_text(SENTENCE * (TOKENS // 14), encoding="utf-8")
        edge = ("--profile", "edge", "--system-prompt-file", str(prompt))
        one_processor = ("taskset", "--cpu-list", "0")
        report = Report(options, arms=", ".join(arms))
        with started(options.model, *edge, before=one_processor) as server, server.http() as client:
            process = psutil.Process(server.process.pid)
            for number in range(options.requests):
                for arm in arms.values():
                    arm.ask(client, process, f"{40 + number} degrees. Is that hot?")
    for name, arm in arms.items():
        first_ms = statistics.median(arm.first_ms)
        worked_ms = statistics.median(arm.worked_ms)
        report.row(
            f"{name}: prompt of {arm.prompt} tokens, {arm.computed} of them computed; first token "
            f"{first_ms:.0f} ms (median), {max(arm.first_ms):.0f} ms (last); processor time of a "
            f"whole request {worked_ms:.0f} ms (median)",
            arm=name, computed=arm.computed, first_ms=first_ms, worked_ms=worked_ms,
        )  # fmt: skip
    report.end()
    return int(statistics.median(arms["new question"].first_ms) > options.most_ms)


if __name__ == "__main__":
    sys.exit(main())
