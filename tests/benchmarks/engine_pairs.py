"""Measures two engine processes in turns: what one of them does differently, in decode and prefill.

In blocks of first, second, second, first they answer the same new prompts; which one begins changes
with each block. The ratio is first / second in tokens a second, its interval a bootstrap over the
blocks (95 %). The processor time of each answer is compared too, since other programs change it
less. Measure on a quiet machine.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.bench_engine import ratio
from deepseek_r1.core.events import AnswerDelta, GenerationFinished, ThinkingDelta
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.hardware import cpu
from deepseek_r1.host.client import EngineClient
from deepseek_r1.memory.meter import cpu_seconds

PROMPT_WORDS: Final = 400


@dataclass(frozen=True)
class Answer:
    """One answer: tokens a second, and milliseconds of the processor for each token."""

    prefill: float
    decode: float
    cpu_ms: float
    text: str


@contextmanager
def engine(
    command: Sequence[str] | None,
    model: Path,
    settings: LoadSettings,
    is_as_named: Callable[[EngineClient], bool],
) -> Iterator[EngineClient]:
    """Yield the client of an engine that has the model; `command` starts it in another way.

    Ends the program where `is_as_named` finds that the engine is not what the benchmark needs.
    """
    with EngineClient(command=command) as client:
        client.load(model, settings)
        if not is_as_named(client):
            raise SystemExit(f"the engine started by {command or 'the host'} is another one")
        yield client


def new_prompt(number: int) -> str:
    """Return some hundred tokens that share no beginning with another prompt."""
    words = " ".join(f"{number * 31 + each * 7919 % 1000}" for each in range(PROMPT_WORDS // 4))
    return f"Story {number}. The numbers: {words}. Write on and on about a dragon who counts them."


def answer(client: EngineClient, number: int, tokens: int) -> Answer:
    """Let one engine answer a prompt that is not in its cache."""
    assert client.pid is not None
    before_s, text = cpu_seconds(client.pid), ""
    stats = None
    sampling = SamplingSettings(temperature=0.0, max_tokens=tokens, end_repetition=False)
    for event in client.generate(new_prompt(number), sampling):
        if isinstance(event, AnswerDelta | ThinkingDelta):
            text += event.text
        elif isinstance(event, GenerationFinished):
            stats = event.stats
    assert stats is not None
    used_s = cpu_seconds(client.pid) - before_s
    computed = stats.prompt_tokens - stats.cached_tokens + stats.completion_tokens
    return Answer(stats.prefill_tok_s, stats.decode_tok_s, 1000 * used_s / computed, text)


def measure(engines: Mapping[str, EngineClient], blocks: int, tokens: int) -> dict[str, Any]:
    """Measure all blocks of two engines by their names, after one block that warms up."""
    one, other = engines
    rates: dict[str, dict[str, list[list[float]]]] = {
        name: {arm: [] for arm in engines} for name in ("prefill", "decode", "cpu_ms")
    }
    differing = 0
    for number in range(-1, blocks):
        first, second = (one, other) if number % 2 else (other, one)
        block: dict[str, list[Answer]] = {arm: [] for arm in engines}
        for turn, arm in enumerate((first, second, second, first)):
            block[arm].append(answer(engines[arm], 2 * (number + 2) + turn // 2, tokens))
        texts = {arm: {each.text for each in answers} for arm, answers in block.items()}
        differing += texts[one] != texts[other]
        if number < 0:
            continue
        for name, arms in rates.items():
            for arm, answers in block.items():
                arms[arm].append([getattr(each, name) for each in answers])
    result: dict[str, Any] = {"arms": [one, other], "blocks_with_other_texts": differing}
    for name, arms in rates.items():
        middle, low, high = ratio(arms[other], arms[one])
        medians = {
            arm: statistics.median(rate for block in runs for rate in block)
            for arm, runs in arms.items()
        }
        result[name] = medians | {"ratio": middle, "low": low, "high": high}
    return result | {"processor": cpu().name, "blocks": blocks}


def argument_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options of such a benchmark."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("model", type=Path)
    made.add_argument("--blocks", type=int, default=8)
    made.add_argument("--tokens", type=int, default=128)
    made.add_argument("--json", action="store_true")
    return made


def load_settings(budget: int = 0) -> LoadSettings:
    """Return the settings of both engines. With a `budget` in MiB the model runs from the disk."""
    return LoadSettings(
        memory_budget=budget or 65_536, context_length=2048, swap_enabled=bool(budget)
    )


def report_table(report: Mapping[str, Any]) -> str:
    """Return a report as lines for people."""
    one, other = report["arms"]
    lines = [f"{report['processor']}, {report['model']}, {report['blocks']} blocks"]
    units = {"prefill": "tok/s", "decode": "tok/s", "cpu_ms": "ms of the processor a token"}
    for name, unit in units.items():
        row = report[name]
        lines.append(
            f"{name:8} {one} {row[one]:8.2f}   {other} {row[other]:8.2f} {unit}   "
            f"ratio {row['ratio']:.4f} ({row['low']:.4f} to {row['high']:.4f})"
        )
    lines.append(f"blocks with other texts: {report['blocks_with_other_texts']}")
    return "\n".join(lines)
