"""Finds the citations [n] of an answer, and which of them were sent."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from deepseek_r1.documents.document import Source

# Code is skipped: `a[1]` is no citation. Neither is the text of a link, [1](address).
_FOUND = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|[\[【](\d{1,5}(?:\s*[,，、;–-]\s*\d{1,5})*)[\]】](?!\()", re.DOTALL
)
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Citation:
    """A number in an answer, from `start` to `end` of its text.

    `[2]` is covered as a whole; of `[2, 3]` each number by itself. Without a source the model made
    the number up: it must not become a link.
    """

    start: int
    end: int
    n: int
    source: Source | None


def citations(answer: str, sources: Iterable[Source]) -> list[Citation]:
    """Return the citations of an answer, in order."""
    known = {source.n: source for source in sources}
    found = []
    for match in _FOUND.finditer(answer):
        if match[1] is None:
            continue
        numbers = list(_NUMBER.finditer(answer, *match.span(1)))
        for number in numbers:
            span = match.span() if len(numbers) == 1 else number.span()
            found.append(Citation(*span, int(number[0]), known.get(int(number[0]))))
    return found


def cited(answer: str, sources: Iterable[Source]) -> tuple[Source, ...]:
    """Return the sources with `cited` as the answer has it; the cited ones first."""
    sources = tuple(sources)
    numbers = {citation.n for citation in citations(answer, sources)}
    marked = [replace(each, cited=each.n in numbers) for each in sources]
    return tuple(sorted(marked, key=lambda each: not each.cited))
