"""How fast would a streamed model write with a draft model whose acceptance is known?

    .venv/bin/python tests/benchmarks/bench_drafts_playback.py TARGET DRAFT --budget 1907
        [--acceptance reasoning=0.9,chat=0.67,chinese=0.6] [--tokens 60] [--blocks 1]

For files with a model's real shapes and random weights, whose own drafts are never right.
Everything is computed as in the product, drafting and verifying too; only whether a drafted token
counts as right is drawn with the given probability. The draft model states the same probability for
its tokens, as one does whose probabilities are true; its own are of no use here. The defaults give
the tokens a pass that a 1.5B with a 0.5B of its family reached, greedy, with four drafted tokens:
4.1, 2.7, 2.3. Beside it stands the same model without drafts, and the ratio. A B B A, with both
loaded: it needs the budget twice.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "app"), str(ROOT / "tests")]

from deepseek_r1 import CPUInference
from deepseek_r1.core.events import GenerationStats
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.engine.llama.speculative import drafting
from deepseek_r1.engine.llama.speculative.draft_model import DraftModel
from deepseek_r1.engine.llama.speculative.verify import SpeculativeDecoder
from deepseek_r1.hardware import cpu

_PROMPT = "Write on and on about a dragon."


class PlayedBack(SpeculativeDecoder):
    """Counts drafted tokens as right by chance."""

    chance = random.Random(1)
    acceptance = 0.0

    def verify(self, token: int) -> bool:
        if self._kept < len(self._draft):
            right = self.chance.random() < self.acceptance
            token = self._draft.tokens[self._kept] if right else -1
        return super().verify(token)


def choose_as_played_back(proposer: DraftModel) -> tuple[int, float]:
    """The draft model's most likely token, with the probability of being right."""
    token, _ = _choose(proposer)
    return token, PlayedBack.acceptance


_choose = DraftModel._choose


def load(given: argparse.Namespace, *, drafted: bool) -> CPUInference:
    """One arm, with all its pinned weights in memory."""
    settings = LoadSettings(
        memory_budget=given.budget,
        context_length=4096,
        swap_enabled=True,
        drafts="model" if drafted else "off",
        draft_model=str(given.draft) if drafted else "",
    )
    model = CPUInference(given.target, settings=settings)
    model.complete(_PROMPT, sampling=SamplingSettings(temperature=1.0, max_tokens=3))
    return model


def one_run(given: argparse.Namespace, model: CPUInference) -> GenerationStats:
    """One answer of the wanted length."""
    for _ in range(30):  # answers of random weights may end early
        sampling = SamplingSettings(temperature=1.5, top_p=1.0, max_tokens=given.tokens)
        stats = model.complete(_PROMPT, sampling=sampling).stats
        if stats.completion_tokens >= given.tokens:
            break
    return stats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path)
    parser.add_argument("draft", type=Path)
    parser.add_argument("--budget", type=int, required=True)
    parser.add_argument("--acceptance", default="reasoning=0.9,chat=0.67,chinese=0.6")
    parser.add_argument("--tokens", type=int, default=60)
    parser.add_argument("--blocks", type=int, default=1)
    given = parser.parse_args()
    profile = tempfile.TemporaryDirectory()
    os.environ["R1DESK_PROFILE"] = profile.name
    drafting.SpeculativeDecoder = PlayedBack
    DraftModel._choose = choose_as_played_back
    print(f"{cpu().name}, {cpu().usable_cores} cores; {given.target.name} in {given.budget} MiB, "
          f"draft {given.draft.name}\n{'':12} accepted   with  without  ratio  a pass  drafting  "
          "freed")  # fmt: skip
    with load(given, drafted=False) as plain:
        for part in given.acceptance.split(","):
            kind, _, chance = part.partition("=")
            print(f"{kind:12} {float(chance):8.0%} {measured(given, plain, float(chance))}",
                  flush=True)  # fmt: skip


def measured(given: argparse.Namespace, plain: CPUInference, acceptance: float) -> str:
    """Write A B B A; returns the rest of the line."""
    PlayedBack.acceptance = acceptance
    runs: dict[bool, list[GenerationStats]] = {True: [], False: []}
    with load(given, drafted=True) as with_drafts:
        for drafted in (True, False, False, True) * given.blocks:
            runs[drafted].append(one_run(given, with_drafts if drafted else plain))
    tok_s, plain_tok_s = (
        statistics.median(each.decode_tok_s for each in runs[arm]) for arm in (True, False)
    )
    a_pass = statistics.median(each.tokens_per_pass for each in runs[True])
    draft_share = statistics.median(each.draft_s / each.decode_s for each in runs[True])
    return (
        f"{tok_s:6.2f}  {plain_tok_s:7.2f}  {tok_s / plain_tok_s:5.2f}  {a_pass:6.2f}  "
        f"{draft_share:8.0%}  {'yes' if runs[True][-1].draft_released else ''}"
    )


if __name__ == "__main__":
    main()
