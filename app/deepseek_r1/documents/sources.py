"""The sources of an answer: the passages and sentences that carry it, and the citations [n]."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final, TypeVar

from deepseek_r1.core.events import AnswerDelta, AnswerSource, Event, GenerationFinished
from deepseek_r1.core.messages import PartialAnswer
from deepseek_r1.documents.document import Source
from deepseek_r1.documents.passages import content_terms

_EventT = TypeVar("_EventT", bound=Event)

# Code is skipped: `a[1]` is no citation. Neither is the text of a link, [1](address).
_FOUND = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|[\[【](\d{1,5}(?:\s*[,，、;–-]\s*\d{1,5})*)[\]】](?!\()", re.DOTALL
)
_DIGITS = re.compile(r"\d+")
_ENDED = re.compile(r"(?<=[.!?])\s+|(?<=[。！？；])|\n")  # a sentence, or a line
_OPENED = re.compile(
    r"[\[【][\d\s,，、;–-]*\Z"
)  # a citation of several, before the one that is meant
_CLAIM: Final = 400  # characters before a citation
# A full stop inside of a number or a name ends nothing, nor does a line of a paragraph.
_SENTENCE = re.compile(r"(?:[^.!?。！？；\n]|\n(?![\n•*-])|[.!?](?=\S))+[.!?。！？；]*")
_PIECE = re.compile(r"[^\n;]+[\n;]*")  # of what has no full stop, as forms and tables of PDFs
_LONG: Final = 280  # characters of a sentence that is taken in pieces
_COMPARED: Final = 12_000  # characters of an answer
_PASSAGES: Final = 24  # the best of those that were sent
_OF_QUESTION: Final = 1.25  # weight of the question's words, beside those of the answer alone
_LEAST: Final = 0.5  # of the best passage's weight, and another one is listed


def citations(answer: str) -> Iterator[tuple[int, int, int]]:
    """Yield the start, the end and the number of each citation, in order.

    `[2]` is covered as a whole; of `[2, 3]` each number by itself. The model may make a number up:
    one that was not sent must not become a link.
    """
    for match in _FOUND.finditer(answer):
        numbers = list(_DIGITS.finditer(answer, *match.span(1))) if match[1] else []
        for number in numbers:
            start, end = (match if len(numbers) == 1 else number).span()
            yield start, end, int(number[0])


def claims(answer: str, number: int) -> str:
    """Return what an answer says with each citation of this number.

    The sentence before it, or its beginning; what follows one that begins a line, as the numbers of
    the prompt do: a small model copies a passage with its number.
    """
    found = []
    for (start, end, n), following in pairwise([*citations(answer), (len(answer), 0, 0)]):
        if n != number:
            continue
        before = _OPENED.sub("", answer[max(0, start - _CLAIM) : start]).rstrip(" ")
        after = answer[end : min(following[0], end + _CLAIM)]
        copied = before[-1:] in {"", "\n"} and any(map(str.isalnum, after.partition("\n")[0]))
        found.append(after.strip() if copied else _ENDED.split(before.rstrip())[-1])
    return " ".join(found)


def has_text(answer: str) -> bool:
    """Whether an answer says anything beside its citations."""
    return any(map(str.isalnum, _FOUND.sub(" ", answer)))


def listed(answer: str, sources: Sequence[Source], question: str = "") -> tuple[Source, ...]:
    """The sources of an answer to a question: those that it cites, and those that carry it.

    `sources` are what was sent, best first. The weight of one is that of its best sentence: what
    this shares with the question, and with the answer alone, each word by its rarity in what was
    sent. Of the answer alone the root counts: a small model copies a wrong sentence whole
    (`bench/bench_answers.py`). One is listed that has half of the best one's weight. Those that
    carry most come first, cited or not; `cited` is as the answer has it.
    """
    numbers = {number for _, _, number in citations(answer)}
    weights = _weights(answer, question, sources[:_PASSAGES])
    least = _LEAST * max(weights.values(), default=0.0)
    found = [
        replace(each, cited=each.n in numbers)
        for each in sources
        if each.n in numbers or (weights.get(each.n, 0.0) >= least > 0)
    ]
    return tuple(sorted(found, key=lambda each: -weights.get(each.n, 0.0)))


def best_sentence(text: str, claim: str, question: str = "") -> str:
    """The sentence of a passage that is nearest to a claim and a question, or all of it."""
    sentences = list(_sentences(text))
    terms = [content_terms(each) for each in sentences]
    weights = _sentence_weights(claim, question, terms)
    best = max(weights, default=0.0)
    return sentences[weights.index(best)] if best > 0 else text


def _weights(answer: str, question: str, sources: Sequence[Source]) -> Mapping[int, float]:
    """How much of an answer each passage carries: the weight of its best sentence."""
    terms, numbers = list[set[str]](), list[int]()
    for each in sources:
        of_passage = [content_terms(sentence) for sentence in _sentences(each.passage.text)]
        terms += of_passage
        numbers += [each.n] * len(of_passage)
    found = dict[int, float]()
    for number, weight in zip(numbers, _sentence_weights(answer, question, terms), strict=True):
        found[number] = max(found.get(number, 0.0), weight)
    return found


def _sentence_weights(answer: str, question: str, sentences: Sequence[set[str]]) -> Sequence[float]:
    count = Counter(term for each in sentences for term in each)
    rarity = {term: math.log(1 + len(sentences) / n) for term, n in count.items()}
    asked = content_terms(question)
    own_terms = content_terms(_FOUND.sub(" ", answer[:_COMPARED])) - asked

    def weight(terms: set[str]) -> float:
        own = sum(rarity[term] for term in terms & own_terms)
        return math.sqrt(2 * own) + _OF_QUESTION * sum(rarity[term] for term in terms & asked)

    return [weight(each) for each in sentences]


def _sentences(text: str) -> Iterator[str]:
    for match in _SENTENCE.finditer(text):
        sentence = match.group()
        pieces = _PIECE.findall(sentence) if len(sentence) > _LONG else [sentence]
        yield from filter(None, map(str.strip, pieces))


class SourcedAnswer:
    """Adds the sources to the last event of an answer, or of the continuation of one."""

    def __init__(
        self, sources: Sequence[Source], question: str, continues: PartialAnswer | None = None
    ) -> None:
        self._sources, self._question = sources, question
        self._text = continues.text if continues is not None else ""

    def __call__(self, event: _EventT) -> _EventT:
        """Take the next event of the answer, and return it."""
        if isinstance(event, AnswerDelta):
            self._text += event.text
        if not isinstance(event, GenerationFinished) or not self._sources:
            return event
        of_pictures = [each for each in self._sources if each.passage.place.sure is not None]
        found = listed(self._text, self._sources, self._question) or of_pictures[:1]
        return event.model_copy(update={"sources": tuple(map(self._as_source, found))})

    def _as_source(self, source: Source) -> AnswerSource:
        passage = source.passage
        claim = claims(self._text, source.n) or self._text
        sentence = best_sentence(passage.text, claim, self._question)
        return AnswerSource(
            n=source.n,
            document=passage.name,
            page=passage.place.page,
            place=passage.place_of(sentence).label(),
            text=passage.text,
            sentence=sentence,
            cited=source.cited,
            picture_confidence=passage.place.sure,
        )
