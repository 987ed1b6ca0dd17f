"""One arm of the budget benchmark, in a process of its own: `python -m … ARM` with JSON on stdin.

Its standard output is one JSON object, an `ArmTimes`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from deepseek_r1.cli.benchmarks.errors import EndsTooEarly
from deepseek_r1.core.events import GenerationEvent, GenerationFinished, PrefillProgress
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import LoadSettings, SamplingSettings

_PLENTY_MIB = 1_048_576
# Answers about it repeat much of it, as answers about code and texts do.
CODE = """
def total_price(items, discount):
    total = 0
    for item in items:
        if item.price is None:
            continue
        total += item.price * item.count
    if discount is not None:
        total -= total * discount.percent / 100
    return round(total, 2)


def total_weight(items):
    total = 0
    for item in items:
        total += item.weight * item.count
    return total
"""
CHANGE_CODE = f"Add type hints to both functions and show the whole file again:\n{CODE}"
_MIB = 1 << 20


class Order(BaseModel):
    """What an arm has to do."""

    model_config = ConfigDict(frozen=True)

    model: Path
    kind: str  # "ours", "drafted", "mapped" or "resident" (the last two are llama.cpp alone)
    budget_mib: int = 0  # ours: 0 is in memory whole
    threads: int = 0  # 0: what the engine chooses
    prompt_tokens: int = 32
    tokens: int = 16
    context_length: int = 1024
    ordered_at: float = 0.0  # time.monotonic() of the parent, before the process was started


class ArmTimes(BaseModel):
    """What an arm measured of itself. Rates are tokens a second."""

    model_config = ConfigDict(frozen=True)

    tok_s: float
    prefill_tok_s: float
    first_token_s: float  # from the order to the first token: the three below
    start_s: float = 0.0  # of the process: Python and what is imported
    load_s: float = 0.0
    prompt_s: float = 0.0  # the prompt: reading it
    streamed_mib: float = 0.0  # the plan: read in each pass
    io_wait_s: float = 0.0
    read_mib_token: float = 0.0  # what the process read from the drive while it wrote, a token
    cpu_s_token: float = 0.0
    major_faults_token: float = 0.0
    rss_peak_mib: float = 0.0
    threads: int = 0


class _Counters:
    """What the system counted for this process until now."""

    def __init__(self) -> None:
        import resource  # noqa: PLC0415 - not on Windows, where no arm is run

        used = resource.getrusage(resource.RUSAGE_SELF)
        self.cpu_s = used.ru_utime + used.ru_stime
        self.major_faults = used.ru_majflt
        self.rss_peak_mib = used.ru_maxrss / 1024
        io = Path("/proc/self/io").read_text(encoding="ascii")
        counts = dict(line.split(": ") for line in io.splitlines())
        self.read_mib = int(counts["read_bytes"]) / _MIB

    def since(self, earlier: _Counters, tokens: int) -> dict[str, float]:
        """The difference for each of `tokens`."""
        return {
            "cpu_s_token": (self.cpu_s - earlier.cpu_s) / tokens,
            "major_faults_token": (self.major_faults - earlier.major_faults) / tokens,
            "read_mib_token": (self.read_mib - earlier.read_mib) / tokens,
            "rss_peak_mib": self.rss_peak_mib,
        }


def run_ours(order: Order) -> ArmTimes:
    """`CPUInference` as it is, with its own choice of threads unless the order has one."""
    from deepseek_r1.inference import CPUInference  # noqa: PLC0415 - not in the other arms

    settings = LoadSettings(
        memory_budget=order.budget_mib or _PLENTY_MIB,
        context_length=order.context_length,
        swap_enabled=bool(order.budget_mib),
        threads=order.threads,
        threads_prefill=order.threads,
    )
    started_at = time.monotonic()
    with CPUInference(order.model, settings=settings) as model:
        loaded_at = time.monotonic()
        words = CHANGE_CODE if order.kind == "drafted" else "Write on and on about a dragon."
        while model.count_tokens([_user(words)]) < order.prompt_tokens:
            words += " word"
        first_at: float | None = None
        prefill_tok_s = 0.0
        drafted = [SamplingSettings(max_tokens=order.tokens)] * 9  # drawn: others each time
        for sampling in drafted if order.kind == "drafted" else _ways_to_write(order.tokens):
            events = model.stream([_user(words)], sampling=sampling)
            read_at, before = _first_token(events)
            *_, last = events
            after = _Counters()
            assert isinstance(last, GenerationFinished)  # noqa: S101 - the stream's contract
            if first_at is None:  # later ones find the prompt in the cache
                first_at, prefill_tok_s = read_at, last.stats.prefill_tok_s
            if last.stats.completion_tokens >= order.tokens:
                break
        else:
            raise EndsTooEarly(tokens=order.tokens)
    stats, weights = last.stats, last.stats.weights
    return ArmTimes(
        tok_s=stats.decode_tok_s,
        prefill_tok_s=prefill_tok_s,
        first_token_s=first_at - order.ordered_at,
        start_s=started_at - order.ordered_at,
        load_s=loaded_at - started_at,
        prompt_s=first_at - loaded_at,
        streamed_mib=weights.streamed_mib if weights else 0.0,
        io_wait_s=weights.io_wait_s if weights else 0.0,
        threads=model.loaded.threads,
        **after.since(before, max(1, stats.completion_tokens - 1)),
    )


def _ways_to_write(tokens: int) -> Iterator[SamplingSettings]:
    """The likeliest answer, then drawn ones: some models end the likeliest at once."""
    yield SamplingSettings(temperature=0.0, max_tokens=tokens)
    for seed in range(1, 30):
        yield SamplingSettings(temperature=1.5, top_p=1.0, seed=seed, max_tokens=tokens)


def _user(words: str) -> Message:
    return Message(role=Role.USER, content=words)


def _first_token(events: Iterator[GenerationEvent]) -> tuple[float, _Counters]:
    """When the prompt was read, and what the system had counted by then."""
    for event in events:
        if isinstance(event, PrefillProgress) and event.done == event.total:
            break
    return time.monotonic(), _Counters()


def run_llama(order: Order) -> ArmTimes:
    """llama.cpp alone, the file mapped or read to memory whole."""
    from deepseek_r1.engine.llama.bare import BareModel  # noqa: PLC0415 - not in our own arm

    began, clock = time.monotonic(), time.perf_counter()
    model = BareModel(
        order.model,
        mapped=order.kind == "mapped",
        threads=order.threads,
        context_length=order.context_length,
    )
    prompt = model.decode(order.prompt_tokens, 0)
    before = _Counters()
    written = model.decode(0, order.tokens)
    after = _Counters()
    model.close()
    return ArmTimes(
        tok_s=order.tokens / written.decode_s,
        prefill_tok_s=order.prompt_tokens / prompt.prefill_s,
        first_token_s=began + prompt.first_token_at - clock - order.ordered_at,
        threads=order.threads,
        **after.since(before, order.tokens),
    )


def main() -> None:
    """Read the order, do it, print what was measured."""
    order = Order.model_validate_json(sys.stdin.read())
    times = run_ours(order) if order.kind in {"ours", "drafted"} else run_llama(order)
    print(times.model_dump_json())  # noqa: T201 - what this process is for


if __name__ == "__main__":
    main()
