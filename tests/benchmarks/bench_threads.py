"""Does the thread governor reach the best fixed thread count, whatever else the machine does?

    python tests/benchmarks/bench_threads.py [MODEL] [--busy 0,1,2] [--blocks 4] [--tokens 48]
        [--json]

Arms: each fixed count from 1 to the automatic one, and the governor. Every block runs all arms and
then all of them backwards, in one loaded model, beside `--busy` programs that never rest. The
process has the engine's priority (niceness 5) and its way of waiting. The governor keeps what it
knows from block to block, as it does from answer to answer; the run in which it first meets a
situation is printed on its own ("cold") and not part of the ratio. The ratio is the governor's rate
to that of the fixed count that was best over all blocks.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.runner import Report, argument_parser, in_turns, middle, numbers, ratio
from deepseek_r1 import CPUInference
from deepseek_r1.core.events import GenerationFinished
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.hardware import default_threads
from deepseek_r1.host.child import NICENESS

BUSY = "while True: pass"
GOVERNOR = "governor"
PAUSE_S = 0.3


@contextmanager
def busy_programs(count: int, niceness: int = 0) -> Iterator[None]:
    """Programs of a user at work: at the priority this process had at its start."""
    command = [sys.executable, "-c", BUSY]
    others = [subprocess.Popen(command) for _ in range(count)]
    try:
        for other in others if hasattr(os, "setpriority") else []:
            os.setpriority(os.PRIO_PROCESS, other.pid, niceness)
        time.sleep(PAUSE_S)
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def rate(model: CPUInference, arm: str, tokens: int) -> float:
    """Tokens a second of answers that together have about `tokens` tokens."""
    model.set_threads(0 if arm == GOVERNOR else int(arm), 0)
    written, seconds = 0, 0.0
    while written < tokens:
        sampling = SamplingSettings(temperature=0.9, max_tokens=tokens)
        *_, last = model.stream("Write on and on about a dragon.", sampling=sampling)
        assert isinstance(last, GenerationFinished)
        written += max(1, last.stats.completion_tokens - 1)
        seconds += last.stats.decode_s
    return written / seconds


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--busy", type=numbers, default=[0, 1, 2])
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=48)
    given = parser.parse_args()
    niceness = os.getpriority(os.PRIO_PROCESS, 0) if hasattr(os, "getpriority") else 0
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    fixed = [str(count) for count in range(1, default_threads() + 1)]
    report = Report(given, arms=", ".join([*fixed, GOVERNOR]))
    settings = LoadSettings(memory_budget=65536, context_length=1024)
    with CPUInference(given.model, settings=settings) as model:
        for busy in given.busy:
            with busy_programs(busy, niceness):
                cold = rate(model, GOVERNOR, given.tokens)
                rate(model, fixed[-1], given.tokens)
                rates = in_turns(
                    [*fixed, GOVERNOR], given.blocks,
                    lambda arm, _: rate(model, arm, given.tokens), warm_up=0,
                )  # fmt: skip
            best = max(fixed, key=lambda arm: middle(rates[arm]))
            found = ratio(rates[GOVERNOR], rates[best])
            medians = {arm: middle(blocks) for arm, blocks in rates.items()}
            texts = "   ".join(f"{arm} {value:6.2f}" for arm, value in medians.items())
            report.row(
                f"{busy} busy   {texts} (cold {cold:.2f})   ratio to {best} {found}",
                busy=busy, **medians, cold=cold, best=best, **found._asdict(),
            )  # fmt: skip
    report.end()


if __name__ == "__main__":
    main()
