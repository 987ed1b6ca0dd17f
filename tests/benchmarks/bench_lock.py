"""Measures the cost of the lock on the engine's process, in decode and prefill.

    python tests/benchmarks/bench_lock.py MODEL [--blocks 8] [--tokens 128] [--budget MIB] [--json]

Two engine processes have the model loaded: one as the host starts it, and one whose locks do
nothing. They answer the same new prompts in turns. With `--budget` the model runs from the disk.
The ratio is locked / unlocked in tokens a second. The processor time of each answer is compared
too, since other programs change it less.

Linux only. The exit status is 1 if texts differ, or if a ratio of tokens a second is below 0.99.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1]))

from benchmarks.runner import Report, argument_parser, in_turns, middle, ratio
from deepseek_r1.core.events import AnswerDelta, GenerationFinished, ThinkingDelta
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.host.client import EngineClient
from deepseek_r1.memory.meter import cpu_seconds

UNLOCKED_ENGINE: Final = "--unlocked-engine"
ARMS: Final = ("locked", "unlocked")
MOST_LOST: Final = 0.01
NUMBERS: Final = 100  # in a prompt
UNITS: Final = {
    "prefill": "tok/s",
    "decode": "tok/s",
    "cpu_ms": "ms of the processor a token",
}


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
    from deepseek_r1.native import child_start  # noqa: PLC0415 - as above

    child_start.lock_process = lambda _lock: ()  # type: ignore[assignment]
    model_lock.lock_to_model = lambda _files, _prompts: None
    with contextlib.suppress(KeyboardInterrupt):
        child.main()


@contextlib.contextmanager
def started(arm: str, model: Path, settings: LoadSettings) -> Iterator[EngineClient]:
    """Yield the client of an engine that has the model. Ends the program if its lock is wrong."""
    command = [sys.executable, str(HERE), UNLOCKED_ENGINE] if arm == "unlocked" else None
    with EngineClient(command=command) as client:
        client.load(model, settings)
        if (filters(client.pid) > filters("self")) != (arm == "locked"):
            raise SystemExit(f"the {arm} engine has another lock")
        yield client


def filters(process: int | str | None) -> int:
    """Return the number of a process's seccomp filters."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace")
    line = next(each for each in status.splitlines() if each.startswith("Seccomp_filters:"))
    return int(line.split()[1])


def new_prompt(number: int) -> str:
    """Return some hundred tokens that share no beginning with another prompt."""
    words = " ".join(f"{number * 31 + each * 7919 % 1000}" for each in range(NUMBERS))
    return f"Story {number}. The numbers: {words}. Write on and on about a dragon who counts them."


def answer(client: EngineClient, number: int, tokens: int) -> Answer:
    """Let one engine answer a prompt that is not in its cache."""
    assert client.pid is not None
    before_s, text, stats = cpu_seconds(client.pid), "", None
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


def main() -> int:
    """Run the command line. Returns the exit status."""
    if UNLOCKED_ENGINE in sys.argv:
        unlocked_engine()
        return 0
    parser = argument_parser(__doc__, needs_model=True)
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--budget", type=int, default=0, help="MiB; the model runs from the disk")
    given = parser.parse_args()
    settings = LoadSettings(
        memory_budget=given.budget or 65_536, context_length=2048, swap_enabled=bool(given.budget)
    )
    asked = dict.fromkeys(ARMS, 0)  # prompts so far: both answer the same ones
    with ExitStack() as stack:
        engines = {arm: stack.enter_context(started(arm, given.model, settings)) for arm in ARMS}

        def run(arm: str, _block: int) -> Answer:
            asked[arm] += 1
            return answer(engines[arm], asked[arm], given.tokens)

        report = Report(given, arms=", ".join(ARMS), blocks=given.blocks)
        runs = in_turns(ARMS, given.blocks, run)
    locked, unlocked = runs.values()
    other_texts = sum(
        mine.text != other.text
        for block in zip(locked, unlocked, strict=True)
        for mine, other in zip(*block, strict=True)
    )
    slow = False
    for name, unit in UNITS.items():
        rates = {
            arm: [[getattr(each, name) for each in block] for block in blocks]
            for arm, blocks in runs.items()
        }
        found = ratio(rates["locked"], rates["unlocked"])
        slow = slow or (name != "cpu_ms" and found.ratio < 1 - MOST_LOST)
        medians = {arm: middle(rates[arm]) for arm in ARMS}
        texts = "   ".join(f"{arm} {value:8.2f}" for arm, value in medians.items())
        report.row(
            f"{name:8} {texts} {unit}   ratio {found}", name=name, **medians, **found._asdict()
        )
    report.row(f"answers with other texts: {other_texts}", other_texts=other_texts)
    report.end()
    return int(slow or other_texts > 0)


if __name__ == "__main__":
    raise SystemExit(main())
