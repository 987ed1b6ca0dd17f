"""What do drafts bring while a model runs from the disk?

    .venv/bin/python bench/bench_drafts.py MODEL --budget MIB [--draft-model DRAFT]
        [--kinds chat,reasoning,chinese,code,edit,json,story] [--temperatures 0,0.6]
        [--tokens 160] [--answers 2] [--json]

Two models are loaded with the same budget: with drafts (from the text, or with a draft model too)
and with drafts off. Both answer each question at the same time, in turns of half a second, so that
other programs slow both. The one with drafts is loaded anew for each question, because a draft
model that loses is freed. So the computer needs the budget twice. Printed are tokens a second,
their ratio, tokens for each pass over the weights, the speed-up divided by the tokens a pass (what
the machinery leaves of them), the share of drafted tokens that were kept, the share of the time
that was spent on drafting, and whether the draft model was freed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "app"), str(ROOT / "tests")]

from deepseek_r1 import CPUInference
from deepseek_r1.core.events import (
    AnswerDelta,
    GenerationEvent,
    GenerationFinished,
    GenerationStats,
    ThinkingDelta,
)
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.hardware import cpu

# Answers about code repeat much of it, which prompt lookup drafts from.
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
_TEXT = """The committee met on Tuesday in the old town hall. Anna Berg, who has led the committee
since 2019, reported that the new bridge over the river Alm will cost 4.2 million, half a million
more than was planned. The mayor, Jonas Lind, said that the town can pay for the bridge if the sale
of the old school brings at least two million. The committee will decide on the bridge in March."""
QUESTIONS = {
    "chat": "What should I think about before I move to another town for a new job?",
    "reasoning": "A shop sells pens at 3 for 2 euros and pads at 4 euros each. I buy 12 pens and 3 "
    "pads and pay with a 50 euro note. Think step by step: what do I get back?",
    "chinese": "请用中文解释一下为什么天空是蓝色的，并举一个生活中的例子。",
    "code": "Write a Python class for a bank account with deposit, withdraw and a history, and "
    "tests for it.",
    "edit": f"Add type hints to both functions and show the whole file again:\n{CODE}",
    "json": f"List every person and every sum in this text as JSON with a name, a role and a value "
    f"each:\n\n{_TEXT}",
    "explain": f"Explain this code line by line, quoting each line:\n{CODE}",
    "summary": f"Summarise in five sentences, naming everybody:\n\n{_TEXT}",
    "story": "Write a short story about a lighthouse keeper who has never seen the sea calm.",
}
DEFAULT_KINDS = "chat,reasoning,chinese,code,edit,json,story"

TURN_S = 0.5

Key = tuple[str, float]  # the kind of text, and the temperature


@dataclass(frozen=True)
class Row:
    """One kind of text at one temperature. Shares are 0 to 1."""

    kind: str
    temperature: float
    tokens: int
    tok_s: float
    tok_s_without: float
    tokens_per_pass: float
    kept_share: float
    drafting_share: float
    freed: bool

    @property
    def ratio(self) -> float:
        """What drafts bring."""
        return self.tok_s / self.tok_s_without

    @property
    def yield_share(self) -> float:
        """The speed-up divided by the tokens a pass."""
        return self.ratio / self.tokens_per_pass

    @property
    def text(self) -> str:
        """A line of the table."""
        return (
            f"{self.kind:10} {self.temperature:4} {self.tok_s:6.2f}  {self.tok_s_without:7.2f}  "
            f"{self.ratio:5.2f}  {self.tokens_per_pass:6.2f}  {self.yield_share:10.2f}  "
            f"{self.kept_share:4.0%}  {self.drafting_share:8.0%}  {self.tokens:6}  "
            f"{'yes' if self.freed else ''}"
        )


def load(given: argparse.Namespace, *, drafted: bool) -> CPUInference:
    """One arm, with all its pinned weights in memory."""
    settings = LoadSettings(
        memory_budget=given.budget,
        context_length=given.context,
        swap_enabled=True,
        drafts=("model" if given.draft_model else "lookup") if drafted else "off",
        draft_model=str(given.draft_model or ""),
    )
    model = CPUInference(given.model, settings=settings)
    assert given.resident or model.weights_stats is not None, "nothing is streamed"
    model.complete("Hello", sampling=SamplingSettings(temperature=0.0, max_tokens=4))
    return model


class Arm:
    """Answers one question several times, in turns, and counts its time after first tokens."""

    def __init__(self, model: CPUInference, key: Key, answers: int, tokens: int) -> None:
        self._model, self._question, self._left = model, QUESTIONS[key[0]], answers
        self._sampling = SamplingSettings(temperature=key[1], max_tokens=tokens)
        self._events: Iterator[GenerationEvent] = iter(())
        self._begun = False
        self.seconds = 0.0
        self.stats: list[GenerationStats] = []

    @property
    def tok_s(self) -> float:
        """Tokens a second after the first of each answer."""
        return sum(each.completion_tokens - 1 for each in self.stats) / self.seconds

    def turn(self) -> bool:
        """Compute for half a second. Returns whether there is more to do."""
        ends = time.perf_counter() + TURN_S
        while (began := time.perf_counter()) < ends:
            event = next(self._events, None)
            if event is None:
                if not self._left:
                    return False
                self._left, self._begun = self._left - 1, False
                self._events = self._model.stream(self._question, sampling=self._sampling)
                continue
            if self._begun:
                self.seconds += time.perf_counter() - began
            self._begun = self._begun or isinstance(event, AnswerDelta | ThinkingDelta)
            if isinstance(event, GenerationFinished):
                self.stats.append(event.stats)
        return True


def measured(given: argparse.Namespace, plain_model: CPUInference, key: Key) -> Row:
    """Answer one question with both models."""
    with load(given, drafted=True) as drafting_model:
        models = drafting_model, plain_model
        arms = [Arm(model, key, given.answers, given.tokens) for model in models]
        busy = list(arms)
        while busy:
            busy = [arm for arm in busy if arm.turn()]
    return row_of(key, *arms)


def row_of(key: Key, drafted: Arm, plain: Arm) -> Row:
    """All answers of one question."""
    tokens, accepted, whole = (
        sum(getattr(each, name) for each in drafted.stats)
        for name in ("drafted", "accepted", "completion_tokens")
    )
    return Row(
        kind=key[0],
        temperature=key[1],
        tokens=whole,
        tok_s=drafted.tok_s,
        tok_s_without=plain.tok_s,
        tokens_per_pass=whole / (whole - accepted),
        kept_share=accepted / max(1, tokens),
        drafting_share=sum(each.draft_s for each in drafted.stats) / drafted.seconds,
        freed=drafted.stats[-1].draft_released,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--budget", type=int, required=True)
    parser.add_argument("--draft-model", type=Path)
    parser.add_argument("--kinds", default=DEFAULT_KINDS, help="or " + ",".join(QUESTIONS))
    parser.add_argument("--temperatures", default="0,0.6")
    parser.add_argument("--tokens", type=int, default=160)
    parser.add_argument("--context", type=int, default=1024)
    parser.add_argument("--answers", type=int, default=2, help="of each model to each question")
    parser.add_argument("--resident", action="store_true", help="the model may be in memory whole")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    profile = tempfile.TemporaryDirectory()  # of no load before, which may have given a pair up
    os.environ["R1DESK_PROFILE"] = profile.name
    temperatures = [float(each) for each in given.temperatures.split(",")]
    keys = [(kind, each) for each in temperatures for kind in given.kinds.split(",")]
    if not given.json:
        source = given.draft_model.name if given.draft_model else "the text"
        print(f"{cpu().name}, {cpu().usable_cores} cores; {given.model.name} in "
              f"{given.budget} MiB, drafts from {source}\n{'':10}    T   with  without  ratio  "
              "a pass  ratio/pass  kept  drafting  tokens  freed")  # fmt: skip
    rows = []
    with load(given, drafted=False) as plain:
        for key in keys:
            row = measured(given, plain, key)
            rows.append(row)
            if not given.json:
                print(row.text, flush=True)
    if given.json:
        print(json.dumps([asdict(row) for row in rows]))


if __name__ == "__main__":
    main()
