"""One timed run of the engine in a child process, and the medians of several runs.

`python -m deepseek_r1.lab.engine_run` reads a `RunRequest` as JSON from standard input and
writes `RunTimes` as JSON to standard output. Linux only: it reads the process's counters from
`/proc`.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from deepseek_r1.core.events import GenerationEvent, GenerationFinished, PrefillProgress
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.host.supervisor import engine_environment
from deepseek_r1.lab.errors import AnswerTooShort

_PLENTY_MIB = 1_048_576
_MIB = 1 << 20
_LONGEST_S = 1800.0
_ERROR_CHARACTERS = 400
_Item = TypeVar("_Item")


class RunRequest(BaseModel, frozen=True):
    """The work of one run. The prompt is repeated until it has `prompt_tokens` tokens."""

    model: Path
    prompt: str = "Write on and on about a dragon."
    budget_mib: int = 0  # 0: the whole model in memory
    threads: int = 0  # 0: the engine's choice
    prompt_tokens: int = 32
    tokens: int = 16
    context_length: int = 1024
    started_at: float = 0.0  # time.monotonic() of the parent, before it starts the process


class RunTimes(BaseModel, frozen=True):
    """The times and counters of one run. Rates are tokens per second."""

    tok_s: float
    prefill_tok_s: float
    first_token_s: float  # from the start of the process: the sum of the next three
    start_s: float = 0.0  # Python and its imports
    load_s: float = 0.0
    prompt_s: float = 0.0
    streamed_mib: float = 0.0  # planned reads for each pass over the weights
    io_wait_s: float = 0.0
    read_mib_token: float = 0.0  # bytes that the process read from the drive for each token
    cpu_s_token: float = 0.0
    major_faults_token: float = 0.0
    rss_peak_mib: float = 0.0
    threads: int = 0


class ProcessCounters:
    """The system's counters of this process at the time of construction."""

    def __init__(self) -> None:
        import resource  # noqa: PLC0415 - not on Windows, where no run is measured

        used = resource.getrusage(resource.RUSAGE_SELF)
        self.cpu_s = used.ru_utime + used.ru_stime
        self.major_faults = used.ru_majflt
        self.rss_peak_mib = used.ru_maxrss / 1024
        io = Path("/proc/self/io").read_text(encoding="ascii")
        counts = dict(line.split(": ") for line in io.splitlines())
        self.read_mib = int(counts["read_bytes"]) / _MIB

    def since(self, earlier: ProcessCounters, tokens: int) -> dict[str, float]:
        """Returns the differences per token, and the peak memory."""
        return {
            "cpu_s_token": (self.cpu_s - earlier.cpu_s) / tokens,
            "major_faults_token": (self.major_faults - earlier.major_faults) / tokens,
            "read_mib_token": (self.read_mib - earlier.read_mib) / tokens,
            "rss_peak_mib": self.rss_peak_mib,
        }


def measure_engine(request: RunRequest) -> RunTimes:
    """Time `CPUInference` on the request, with several samplings until an answer is long enough.

    Raises AnswerTooShort and the errors of a load.
    """
    from deepseek_r1.inference import CPUInference  # noqa: PLC0415 - the parent does not need it

    settings = LoadSettings(
        memory_budget=request.budget_mib or _PLENTY_MIB,
        context_length=request.context_length,
        swap_enabled=bool(request.budget_mib),
        threads=request.threads,
        threads_prefill=request.threads,
    )
    began_at = time.monotonic()
    with CPUInference(request.model, settings=settings) as model:
        loaded_at = time.monotonic()
        prompt = request.prompt
        while model.count_tokens([_user(prompt)]) < request.prompt_tokens:
            prompt += " word"
        first_at: float | None = None
        prefill_tok_s = 0.0
        for sampling in _samplings(request.tokens):
            events = model.stream([_user(prompt)], sampling=sampling)
            read_at, before = _first_token(events)
            *_, last = events
            after = ProcessCounters()
            assert isinstance(last, GenerationFinished)  # noqa: S101 - the stream's contract
            if first_at is None:  # later answers find the prompt in the KV cache
                first_at, prefill_tok_s = read_at, last.stats.prefill_tok_s
            if last.stats.completion_tokens >= request.tokens:
                break
        else:
            raise AnswerTooShort(tokens=request.tokens)
    stats, weights = last.stats, last.stats.weights
    return RunTimes(
        tok_s=stats.decode_tok_s,
        prefill_tok_s=prefill_tok_s,
        first_token_s=first_at - request.started_at,
        start_s=began_at - request.started_at,
        load_s=loaded_at - began_at,
        prompt_s=first_at - loaded_at,
        streamed_mib=weights.streamed_mib if weights else 0.0,
        io_wait_s=weights.io_wait_s if weights else 0.0,
        threads=model.loaded.threads,
        **after.since(before, max(1, stats.completion_tokens - 1)),
    )


def _samplings(tokens: int) -> Iterator[SamplingSettings]:
    """Yields greedy sampling, then random ones: some models end the greedy answer at once."""
    yield SamplingSettings(temperature=0.0, max_tokens=tokens)
    for seed in range(1, 30):
        yield SamplingSettings(temperature=1.5, top_p=1.0, seed=seed, max_tokens=tokens)


def _user(prompt: str) -> Message:
    return Message(role=Role.USER, content=prompt)


def _first_token(events: Iterator[GenerationEvent]) -> tuple[float, ProcessCounters]:
    """Returns the time when the prompt was read, and the counters at that time."""
    for event in events:
        if isinstance(event, PrefillProgress) and event.done == event.total:
            break
    return time.monotonic(), ProcessCounters()


def main() -> None:
    """Read a request, measure it, print the times."""
    request = RunRequest.model_validate_json(sys.stdin.buffer.read())
    print(measure_engine(request).model_dump_json())  # noqa: T201 - the parent reads it


# ---- the parent's side ---------------------------------------------------------------------------


def run_in_process(
    request: RunRequest,
    program: Sequence[str] = ("-m", "deepseek_r1.lab.engine_run"),
    **options: Any,
) -> tuple[RunTimes | None, str]:
    """Run `program` in a child process. Returns its times, or None and why it failed.

    `options` are passed to `subprocess.run`.
    """
    done = subprocess.run(
        [sys.executable, "-P", *program],
        input=request.model_dump_json(),
        env=engine_environment(),
        capture_output=True,
        encoding="utf-8",  # the request has paths of any language
        errors="replace",
        timeout=_LONGEST_S,
        check=False,
        **options,
    )
    if done.returncode:
        return None, f"{done.returncode}: {done.stderr[-_ERROR_CHARACTERS:].strip()}"
    return RunTimes.model_validate_json(done.stdout.splitlines()[-1]), ""


def in_both_orders(items: Sequence[_Item], rounds: int) -> Iterator[_Item]:
    """Yields A B B A for two items, once per round, so that a drift of the machine cancels out."""
    for _ in range(rounds):
        yield from items
        yield from reversed(items)


def medians(times: Sequence[RunTimes]) -> dict[str, float]:
    """Returns the median of each field, 0 without runs."""
    return {
        key: statistics.median(getattr(each, key) for each in times) if times else 0.0
        for key in RunTimes.model_fields
    }


if __name__ == "__main__":
    main()
