"""Measures the cost of the lock on the engine's process, in decode and prefill.

    python tests/benchmarks/bench_lock.py MODEL [--blocks 8] [--tokens 128] [--budget MIB] [--json]

Two engine processes have the model loaded: one as the host starts it, and one whose locks do
nothing. In blocks of locked, unlocked, unlocked, locked they answer the same new prompts; which one
begins changes with each block. The ratio is locked / unlocked in tokens a second, its interval a
bootstrap over the blocks (95 %). The processor time of each answer is compared too, since other
programs change it less. With `--budget` the model runs from the disk. Measure on a quiet machine.

Linux only. The exit status is 1 if texts differ, or if a ratio of tokens a second is below 0.99.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[2] / "app"), str(HERE.parents[1])]

from benchmarks.bench_engine import ratio
from deepseek_r1.core.events import AnswerDelta, GenerationFinished, ThinkingDelta
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.hardware import cpu
from deepseek_r1.host.client import EngineClient
from deepseek_r1.memory.meter import cpu_seconds

UNLOCKED_ENGINE: Final = "--unlocked-engine"
ARMS: Final = ("locked", "unlocked")
MOST_LOST: Final = 0.01
PROMPT_WORDS: Final = 400


@dataclass(frozen=True)
class Answer:
    """One answer: tokens a second, and milliseconds of the processor for each token."""

    prefill: float
    decode: float
    cpu_ms: float
    text: str


def unlocked_engine() -> None:
    """Run as the engine's process, without its locks."""
    from deepseek_r1.host import child, model_lock  # noqa: PLC0415 - in that process alone

    child.lock_process = lambda: ()  # type: ignore[assignment]
    model_lock.lock_to_model = lambda _files, _prompts: None
    with contextlib.suppress(KeyboardInterrupt):
        child.main()


@contextmanager
def engine(arm: str, model: Path, settings: LoadSettings) -> Iterator[EngineClient]:
    """Yield the client of an engine that has the model, after checking that it is locked or not."""
    command = [sys.executable, str(HERE), UNLOCKED_ENGINE] if arm == "unlocked" else None
    with EngineClient(command=command) as client:
        client.load(model, settings)
        if is_locked(client) != (arm == "locked"):
            raise SystemExit(f"the engine that should be {arm} is not")
        yield client


def is_locked(client: EngineClient) -> bool:
    """Return whether the engine's process has more seccomp filters than this one."""
    return _filters(client.pid) > _filters("self")


def _filters(process: int | str | None) -> int:
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace")
    line = next(each for each in status.splitlines() if each.startswith("Seccomp_filters:"))
    return int(line.split()[1])


def prompt(number: int) -> str:
    """Return some hundred tokens that share no beginning with another prompt."""
    words = " ".join(f"{number * 31 + each * 7919 % 1000}" for each in range(PROMPT_WORDS // 4))
    return f"Story {number}. The numbers: {words}. Write on and on about a dragon who counts them."


def answer(client: EngineClient, number: int, tokens: int) -> Answer:
    """Let one engine answer a prompt that is not in its cache."""
    assert client.pid is not None
    before_s, text = cpu_seconds(client.pid), ""
    stats = None
    sampling = SamplingSettings(temperature=0.0, max_tokens=tokens, end_repetition=False)
    for event in client.generate(prompt(number), sampling):
        if isinstance(event, AnswerDelta | ThinkingDelta):
            text += event.text
        elif isinstance(event, GenerationFinished):
            stats = event.stats
    assert stats is not None
    used_s = cpu_seconds(client.pid) - before_s
    computed = stats.prompt_tokens - stats.cached_tokens + stats.completion_tokens
    return Answer(stats.prefill_tok_s, stats.decode_tok_s, 1000 * used_s / computed, text)


def measure(engines: dict[str, EngineClient], blocks: int, tokens: int) -> dict[str, Any]:
    """Measure all blocks, after one that warms up."""
    rates: dict[str, dict[str, list[list[float]]]] = {
        name: {arm: [] for arm in ARMS} for name in ("prefill", "decode", "cpu_ms")
    }
    differing = 0
    for number in range(-1, blocks):
        first, second = ARMS if number % 2 else ARMS[::-1]
        block: dict[str, list[Answer]] = {arm: [] for arm in ARMS}
        for turn, arm in enumerate((first, second, second, first)):
            block[arm].append(answer(engines[arm], 2 * (number + 2) + turn // 2, tokens))
        texts = {arm: {each.text for each in answers} for arm, answers in block.items()}
        differing += texts["locked"] != texts["unlocked"]
        if number < 0:
            continue
        for name, arms in rates.items():
            for arm, answers in block.items():
                arms[arm].append([getattr(each, name) for each in answers])
    result: dict[str, Any] = {"blocks_with_other_texts": differing}
    for name, arms in rates.items():
        middle, low, high = ratio(arms["unlocked"], arms["locked"])
        medians = {
            arm: statistics.median(rate for block in runs for rate in block)
            for arm, runs in arms.items()
        }
        result[name] = medians | {"ratio": middle, "low": low, "high": high}
    return result


def main() -> int:
    """Run the command line. Returns the exit status."""
    if UNLOCKED_ENGINE in sys.argv:
        unlocked_engine()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--budget", type=int, default=0, help="MiB; the model runs from the disk")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    settings = LoadSettings(
        memory_budget=given.budget or 65_536, context_length=2048, swap_enabled=bool(given.budget)
    )
    with ExitStack() as stack:
        engines = {arm: stack.enter_context(engine(arm, given.model, settings)) for arm in ARMS}
        report = measure(engines, given.blocks, given.tokens)
    report |= {"model": given.model.name, "processor": cpu().name, "blocks": given.blocks}
    print(json.dumps(report) if given.json else _table(report))
    slow = any(report[name]["ratio"] < 1 - MOST_LOST for name in ("prefill", "decode"))
    return int(slow or report["blocks_with_other_texts"] > 0)


def _table(report: dict[str, Any]) -> str:
    lines = [f"{report['processor']}, {report['model']}, {report['blocks']} blocks"]
    units = {"prefill": "tok/s", "decode": "tok/s", "cpu_ms": "ms of the processor a token"}
    for name, unit in units.items():
        row = report[name]
        lines.append(
            f"{name:8} locked {row['locked']:8.2f}   unlocked {row['unlocked']:8.2f} {unit}   "
            f"ratio {row['ratio']:.4f} ({row['low']:.4f} to {row['high']:.4f})"
        )
    lines.append(f"blocks with other texts: {report['blocks_with_other_texts']}")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
