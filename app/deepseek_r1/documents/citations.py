"""Finds the citations [n] of an answer, and which sources they name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from deepseek_r1.documents.document import Source

# Code is skipped: `a[1]` is no citation. Neither is the text of a link, [1](address).
_FOUND = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|[\[【](\d{1,5}(?:\s*[,，、;–-]\s*\d{1,5})*)[\]】](?!\()", re.DOTALL
)
_NUMBER = re.compile(r"\d+")


def citations(answer: str) -> Iterator[tuple[int, int, int]]:
    """Yield the start, the end and the number of each citation, in order.

    `[2]` is covered as a whole; of `[2, 3]` each number by itself. The model may make a number up:
    one that was not sent must not become a link.
    """
    for match in _FOUND.finditer(answer):
        numbers = list(_NUMBER.finditer(answer, *match.span(1))) if match[1] else []
        for number in numbers:
            start, end = (match if len(numbers) == 1 else number).span()
            yield start, end, int(number[0])


def cited(answer: str, sources: Iterable[Source]) -> tuple[Source, ...]:
    """Return the sources with `cited` as the answer has it; the cited ones first."""
    numbers = {number for _, _, number in citations(answer)}
    marked = [replace(each, cited=each.n in numbers) for each in sources]
    return tuple(sorted(marked, key=lambda each: not each.cited))
