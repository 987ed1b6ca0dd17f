"""Does memory stay flat through a very long answer of a model that runs from the disk?

    .venv/bin/python tests/benchmarks/soak_streaming.py MODEL [--tokens 10000] [--every 500]
        [--json]
    sudo .venv/bin/python tests/benchmarks/with_memory_limit.py 190 \\
        .venv/bin/python tests/benchmarks/soak_streaming.py MODEL

Writes until there are enough tokens, in as few answers as the model makes of them, and prints the
process's resident memory. The weights get the least they can do with, whatever the machine has, so
that as much as possible passes through the slots. The slope is that of a straight line through all
readings but the first, which may still see memory that is used for the first time.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "app"))

from deepseek_r1.core.events import AnswerDelta, GenerationFinished, ThinkingDelta
from deepseek_r1.core.messages import AnswerRequest, Message, Role
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.engine.protocol.base import Engine, OpenRequest
from deepseek_r1.formats.gguf import ModelHeader, read_header
from deepseek_r1.inference.registry import open_engine
from deepseek_r1.memory import meter
from deepseek_r1.memory.plan import ProcessOverhead, plan_streaming
from deepseek_r1.weights.residency import least_weights_mib, plan_residency

QUESTION = [Message(role=Role.USER, content="Write on and on about a dragon.")]


@dataclass(frozen=True)
class Soaked:
    """`readings` are tokens written and MiB resident by then."""

    readings: list[tuple[int, float]]
    answers: int
    bill_mib: float  # without a window
    read_mib: float  # weights that came from the disk

    @property
    def growth_kib(self) -> float:
        """KiB for each thousand tokens."""
        counted = self.readings[1:]
        tokens = sum(at for at, _ in counted) / len(counted)
        memory = sum(mib for _, mib in counted) / len(counted)
        spread = sum((at - tokens) ** 2 for at, _ in counted)
        return 1024_000 * sum((at - tokens) * (mib - memory) for at, mib in counted) / spread


def soak(
    path: Path,
    tokens: int,
    every: int,
    context_length: int,
    on_reading: Callable[[int, float], None] = lambda _tokens, _mib: None,
) -> Soaked:
    """Write `tokens` tokens, and read the memory after each `every` of them."""
    header = read_header(path)
    settings = LoadSettings(context_length=context_length, swap_enabled=True, threads=1)
    least = settings.model_copy(update={"memory_budget": 0})
    bill_mib = plan_streaming(header, least, ProcessOverhead()).bill.total_mib
    readings: list[tuple[int, float]] = []
    written = answers = 0
    engine = open_least(header, settings)
    while written < tokens:
        sampling = SamplingSettings(temperature=0.9, max_tokens=tokens - written)
        before, answers = written, answers + 1
        for event in engine.stream(AnswerRequest(QUESTION, sampling)):
            if isinstance(event, AnswerDelta | ThinkingDelta):
                written = before + event.completion_tokens
            elif isinstance(event, GenerationFinished):
                written = before + event.stats.completion_tokens
            if written // every > len(readings):
                readings.append((written, meter.process_mib(os.getpid())))
                on_reading(*readings[-1])
    stats = engine.weights_stats
    assert stats is not None
    engine.close()
    return Soaked(readings, answers, bill_mib, stats.read_mib)


def open_least(header: ModelHeader, settings: LoadSettings) -> Engine:
    """The engine with the least room for weights."""
    residency = plan_residency(header, least_weights_mib(header))
    return open_engine(OpenRequest(header, settings, 1, lambda _: True, residency))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--tokens", type=int, default=10_000)
    parser.add_argument("--every", type=int, default=500)
    parser.add_argument("--context-length", type=int, default=12_288)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()

    def told(tokens: int, mib: float) -> None:
        if not given.json:
            print(f"{tokens:7} tokens {mib:8.2f} MiB", flush=True)

    soaked = soak(given.model, given.tokens, given.every, given.context_length, told)
    if given.json:
        numbers = {name: getattr(soaked, name) for name in ("answers", "bill_mib", "read_mib")}
        growth = {"growth_kib": soaked.growth_kib, "readings": soaked.readings}
        print(json.dumps(numbers | growth))
        return
    print(
        f"{soaked.answers} answers; bill {soaked.bill_mib:.1f} MiB; {soaked.read_mib:.0f} MiB "
        f"read; {soaked.growth_kib:+.1f} KiB for 1,000 tokens"
    )


if __name__ == "__main__":
    main()
