"""Do drafts leave the distribution of tokens as it is?

    .venv/bin/python bench/check_distribution.py [TARGET DRAFT] [--draws 20000]
        [--temperature 0.6]

Draws the first, second and third token of many texts with one beginning, with drafts and without,
each with a seed of its own, and compares them with a chi-square test for each place. Exits with 1
where a p value is below 0.001. Without files, a tiny model with random weights drafts for itself,
at a temperature that spreads its tokens as 0.6 does those of a trained model.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "app"), str(ROOT / "tests")]

from support.distribution import TOKENS, draw_tokens, same_source_p, tiny_pair

PROMPT = "My favourite animal is"
_LEAST_P = 0.001


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path, nargs="?")
    parser.add_argument("draft", type=Path, nargs="?")
    parser.add_argument("--draws", type=int, default=20_000)
    parser.add_argument("--temperature", type=float, default=0.6)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as profile:
        os.environ["R1DESK_PROFILE"] = profile
        target, draft, temperature = given.target, given.draft or given.target, given.temperature
        if target is None:
            target, temperature = tiny_pair(Path(profile))
            draft = target
        arms = []
        for number, drafts in enumerate((draft, None)):
            tokens, drafted = draw_tokens(
                target, drafts, PROMPT, given.draws, temperature=temperature,
                seed=number * given.draws,
            )  # fmt: skip
            arms.append(tokens)
            print(f"{given.draws} texts, {drafted} tokens drafted", flush=True)
    worst = 1.0
    for place in range(TOKENS):
        ones, others = ([each[place] for each in arm if len(each) > place] for arm in arms)
        p = same_source_p(ones, others)
        worst = min(worst, p)
        kinds = len(set(ones) | set(others))
        print(f"token {place + 1}: {kinds} different ones, p = {p:.3f}")
    return int(worst < _LEAST_P)


if __name__ == "__main__":
    sys.exit(main())
