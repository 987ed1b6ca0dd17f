"""The words by which a text is found, and those of a question."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterable
from typing import Final

from deepseek_r1.documents.passages import UNSPACED

_MOST_TERMS: Final = 2_000  # of a question that are searched: each is counted first
_RUN = re.compile(f"[{UNSPACED}]+")
_JOINED = re.compile(r"\w+(?:[-./_:+@]\w+)*")
_WORD = re.compile(r"[^\W_]+")
# Words of questions, which say nothing about where an answer stands.
_ASKING = frozenset(
    """a about am an and any are as at be been by can could did do does for from has have how i in
    is it its my of on or that the this to was what when where which who why will with
    you""".split()  # noqa: SIM905 - a list of words reads best as a text
)
_ASKED = re.compile(
    "为什么|有没有|是不是|能不能|什么|怎么样|怎么|怎样|如何|哪[些个里儿种]?|多少|多久|几个|[吗呢吧的了把被]"
)


def indexed_terms(text: str, *more: str) -> str:
    """The terms of a text for FTS5: words, and pairs of characters of scripts without spaces."""
    whole = unicodedata.normalize("NFKC", "\n".join([text, *more]))
    if whole.isascii():
        return whole
    pairs = (pair for run in _RUN.findall(whole) for pair in _pairs(run))
    return f"{_RUN.sub(' ', whole)} {' '.join(pairs)}"


def _pairs(run: str) -> list[str]:
    return [run[at : at + 2] for at in range(len(run) - 1)] or [run]


def question_terms(question: str) -> Iterable[str]:
    """The words of a question that a passage may have, each as an expression of FTS5."""
    text = unicodedata.normalize("NFKC", question).lower()
    found = _terms(_ASKED.sub(" ", text), _ASKING) or _terms(text)
    return list(dict.fromkeys(found))[:_MOST_TERMS]


def _terms(text: str, without: Container[str] = ()) -> list[str]:
    found = []
    for joined in _JOINED.findall(_RUN.sub(" ", text)):
        terms = _WORD.findall(joined)
        found += [f'"{joined}"'] * (len(terms) > 1)  # as a phrase too
        found += [f'"{word}"' for word in terms if word not in without]
    runs = _RUN.findall(text)
    pairs = [pair for run in runs for pair in _pairs(run) if len(run) > 1]
    return found + ([f'"{pair}"' for pair in pairs] or [f'"{run}" *' for run in runs])
