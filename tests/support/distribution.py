"""Draws the first tokens of many answers, and tests whether two samples come from one source."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from deepseek_r1 import CPUInference
from deepseek_r1.core.messages import RawPrompt
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.llama.speculative import proposer, verify
from deepseek_r1.engine.llama.speculative.proposer import PassTimes
from support import gguf_files

TOKENS = 3
_LEAST_EXPECTED = 5.0  # of a cell of the table, as usual for the test
# Drafts of up to three tokens cost nothing, longer ones a fortune.
_ROWS_S = ((1, 1.0), (4, 0.1), (5, 1e6), (16, 1e6))


def passes(rows_s: dict[int, float]) -> PassTimes:
    """Times of passes in memory, after one pass with each of these rows."""
    times = PassTimes(streams=False)
    for rows in range(1, 17):
        nearest = max(each for each in rows_s if each <= rows)
        times.observe(rows, rows_s[nearest])
    return times


def streamed(path: Path, budget_mib: int, **options: Any) -> CPUInference:
    """A model of which a small budget leaves a part on the disk."""
    options = {"context_length": 512, "window_mib": 100.0} | options
    return CPUInference(path, memory_budget=budget_mib, swap_enabled=True, **options)


def tiny_pair(folder: Path) -> tuple[Path, float]:
    """Write a tiny model that drafts for itself, and return it with a temperature.

    Random weights give small logits: the temperature spreads them as 0.6 does those of a trained
    model, with 23 to 70 different tokens in 200 texts.
    """
    with patch.object(gguf_files, "HEADS", 2):  # the draft model's q8_0 cells hold 32 values
        return gguf_files.tiny_qwen2(folder / "tiny.gguf"), 0.02


def draw_tokens(
    target: Path, draft: Path | None, prompt: str, draws: int, *, temperature: float, seed: int
) -> tuple[list[tuple[int, ...]], int]:
    """Return the first tokens of `draws` texts after `prompt`, and how many were drafted for them.

    Each answer has a seed of its own, from `seed` on.
    """
    found, drafted = [], 0
    with (
        patch.object(proposer, "_IN_MEMORY", _ROWS_S),
        patch.object(verify, "_PLAIN_PASSES", 1),
        CPUInference(
            target, draft_model=draft, drafts=None if draft else "off", memory_budget=8192,
            context_length=512, thread_count=1,
        ) as model,
    ):  # fmt: skip
        recent = (
            model._engine._parts.recent._answers
        )  # its tokens, where the text merges characters
        for number in range(draws):
            sampling = SamplingSettings(
                temperature=temperature, seed=seed + number, max_tokens=TOKENS
            )
            drafted += model.complete(RawPrompt(text=prompt), sampling=sampling).stats.drafted
            found.append(tuple(recent[-1][1]) if recent else ())
            recent.clear()
    return found, drafted


def same_source_p(ones: Sequence[int], others: Sequence[int]) -> float:
    """Return the p value of the chi-square test that both samples come from one distribution.

    Rare values are counted as one. The tail is Wilson and Hilferty's approximation, 1931.
    """
    counts = Counter(ones), Counter(others)
    sizes = len(ones), len(others)
    total = sum(sizes)
    cells: list[tuple[int, int]] = []
    rare = [0, 0]
    for value in counts[0] | counts[1]:
        pair = counts[0][value], counts[1][value]
        if sum(pair) * min(sizes) / total < _LEAST_EXPECTED:
            rare = [rare[0] + pair[0], rare[1] + pair[1]]
        else:
            cells.append(pair)
    if sum(rare):
        cells.append((rare[0], rare[1]))
    if len(cells) < 2:
        return 1.0
    statistic = sum(
        (seen - (expected := sum(cell) * size / total)) ** 2 / expected
        for cell in cells
        for seen, size in zip(cell, sizes, strict=True)
    )
    degrees = len(cells) - 1
    spread = 2 / (9 * degrees)
    z = ((statistic / degrees) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)
    return 0.5 * math.erfc(z / math.sqrt(2))
