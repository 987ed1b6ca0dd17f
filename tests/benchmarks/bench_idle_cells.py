"""Measures what the cells of ended answers cost the answer that is written.

    python tests/benchmarks/bench_idle_cells.py [MODEL] [--idle 0,3,7] [--rounds 16] [--tokens 48]

For each number in --idle a copy of the model has so many ended answers of 150 tokens in its KV
cache, none of which is dropped. The copies write a short answer in turns. The ratio is the time for
a token, to that of the first copy, as the median over the rounds. Measure on a quiet machine.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "app"))

from deepseek_r1.core.events import GenerationFinished
from deepseek_r1.core.messages import RawPrompt
from deepseek_r1.core.paths import starter_model
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.llama.batching import idle_cells
from deepseek_r1.engine.llama.openmp import wait_policy_set
from deepseek_r1.hardware import cpu
from deepseek_r1.inference import CPUInference

ENDED_TOKENS: Final = 150
PROMPT_TOKENS: Final = 60


def answer(model: CPUInference, number: int, prompt_tokens: int, tokens: int) -> float:
    """Return the milliseconds for each token of an answer to a prompt like no other."""
    prompt = RawPrompt(tokens=tuple(1000 + 37 * number + at for at in range(prompt_tokens)))
    sampling = SamplingSettings(temperature=0.0, max_tokens=tokens, end_repetition=False)
    with model.batch() as batch:
        batch.add(number, prompt, sampling)
        while batch.busy:
            for _key, event in batch.step():
                if isinstance(event, GenerationFinished):
                    stats = event.stats
    return 1000 * stats.decode_s / max(1, stats.completion_tokens - 1)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path, nargs="?", default=None)
    parser.add_argument("--idle", default="0,3,7")
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=48)
    given = parser.parse_args()
    idle_cells.CELL_HEAD_S = 1e-15  # nothing is dropped
    idle_cells.FIRST_WORTH_TOKENS = 1e12
    counts = [int(each) for each in given.idle.split(",")]
    with wait_policy_set():
        models = [
            CPUInference(given.model or starter_model(), batch_size=max(counts) + 1) for _ in counts
        ]
    for model, count in zip(models, counts, strict=True):
        for number in range(count):
            answer(model, number, ENDED_TOKENS, 1)
    rounds = [
        [answer(model, 200, PROMPT_TOKENS, given.tokens) for model in models]
        for _ in range(given.rounds)
    ]
    print(f"{cpu().name}, {cpu().usable_cores} cores")
    for index, (model, count) in enumerate(zip(models, counts, strict=True)):
        middle = statistics.median(times[index] for times in rounds)
        ratio = statistics.median(times[index] / times[0] for times in rounds)
        print(f"{count} ended, {model.context_used} cells: {middle:.2f} ms, ratio {ratio:.3f}")


if __name__ == "__main__":
    main()
