"""What do drafts from the text's own repetitions bring while a model runs from the disk?

    .venv/bin/python tests/bench_drafts.py MODEL --budget MIB [--tokens 160] [--blocks 2] [--json]

Each question is answered with drafts and without, in the order A B B A, with the same seed, so
that both write the same text but for near-ties. Printed are tokens a second, their ratio, tokens
for each pass over the weights, and the share of the drafted tokens that were right.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "app"))

from deepseek_r1 import CPUInference
from deepseek_r1.cli.benchmarks.arm import CHANGE_CODE, CODE
from deepseek_r1.core.events import GenerationStats
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.engine.llama.passes import DraftedPasses
from deepseek_r1.engine.llama.runner import LlamaEngine
from deepseek_r1.hardware import cpu

_TEXT = """The committee met on Tuesday in the old town hall. Anna Berg, who has led the committee
since 2019, reported that the new bridge over the river Alm will cost 4.2 million, half a million
more than was planned. The mayor, Jonas Lind, said that the town can pay for the bridge if the sale
of the old school brings at least two million. The committee will decide on the bridge in March."""
QUESTIONS = {
    "change code": CHANGE_CODE,
    "explain code": f"Explain this code line by line, quoting each line:\n{CODE}",
    "summary": f"Summarise in five sentences, naming everybody:\n\n{_TEXT}",
    "reasoning": "A shop sells pens at 3 for 2 euros and pads at 4 euros each. I buy 12 pens and 3 "
    "pads and pay with a 50 euro note. Think step by step: what do I get back?",
    "story": "Write a short story about a lighthouse keeper who has never seen the sea calm.",
}


@dataclass(frozen=True)
class Row:
    """One question's medians. `right`: share of the drafted tokens that the sampler chose."""

    question: str
    tokens: int
    tok_s: float
    tok_s_without: float
    tokens_per_pass: float
    right: float

    @property
    def ratio(self) -> float:
        """What drafts bring."""
        return self.tok_s / self.tok_s_without


def answered(model: CPUInference, question: str, tokens: int, *, drafted: bool) -> GenerationStats:
    """With the same seed either way; the product itself drafts no answer that has a seed."""

    def passes(engine: LlamaEngine, _sampling: SamplingSettings) -> DraftedPasses | None:
        return DraftedPasses(engine._context, engine._drafts_pace) if drafted else None

    LlamaEngine._passes = passes
    sampling = SamplingSettings(temperature=0.6, top_p=0.95, seed=7, max_tokens=tokens)
    *_, last = model.stream(question, sampling=sampling)
    return last.stats


def compared(model: CPUInference, name: str, tokens: int, blocks: int) -> Row:
    """One question, with and without drafts."""
    runs: dict[bool, list[GenerationStats]] = {True: [], False: []}
    for drafted in (True, False, False, True) * blocks:
        runs[drafted].append(answered(model, QUESTIONS[name], tokens, drafted=drafted))
    drafted_tokens = sum(each.drafted for each in runs[True])
    return Row(
        question=name,
        tokens=runs[True][0].completion_tokens,
        tok_s=statistics.median(each.decode_tok_s for each in runs[True]),
        tok_s_without=statistics.median(each.decode_tok_s for each in runs[False]),
        tokens_per_pass=statistics.median(each.tokens_per_pass for each in runs[True]),
        right=sum(each.accepted for each in runs[True]) / max(1, drafted_tokens),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--budget", type=int, required=True)
    parser.add_argument("--tokens", type=int, default=160)
    parser.add_argument("--blocks", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    settings = LoadSettings(memory_budget=given.budget, context_length=1024, swap_enabled=True)
    rows = []
    with CPUInference(given.model, settings=settings) as model:
        assert model.weights_stats is not None, "nothing is streamed under this budget"
        if not given.json:
            print(f"{cpu().name}, {cpu().usable_cores} cores; {given.model.name} in "
                  f"{given.budget} MiB, {model.weights_stats.streamed_mib:.0f} MiB streamed\n"
                  f"{'':14}  with  without  ratio  tokens a pass  right  tokens")  # fmt: skip
        for name in QUESTIONS:
            row = compared(model, name, given.tokens, given.blocks)
            rows.append(asdict(row))
            if not given.json:
                print(f"{name:14} {row.tok_s:5.2f}  {row.tok_s_without:7.2f}  {row.ratio:5.2f}  "
                      f"{row.tokens_per_pass:13.2f}  {row.right:5.0%}  {row.tokens:6}",
                      flush=True)  # fmt: skip
    if given.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
