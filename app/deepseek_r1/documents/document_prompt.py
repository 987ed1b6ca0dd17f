"""The part of a prompt that is of documents: whole texts that fit, and found passages."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from deepseek_r1.core.messages import Message, Role
from deepseek_r1.documents.document import Passage, Place, Source
from deepseek_r1.documents.index import DocumentIndex, IndexedDocument
from deepseek_r1.documents.passages import (
    UNSPACED,
    brings_its_text,
    estimated_tokens,
    follows,
    is_of_all,
    is_task,
    named_terms,
)

SEARCHED_TOKENS: Final = 2400  # of the passages that are sent for one question
_LEFT_TOKENS: Final = 1200  # for them, beside documents that are read whole
_FOUND: Final = 12  # passages that a search may find
_COMPARED: Final = 20  # passages that an embedding model compares with the question
_RANK: Final = 2  # is added to each rank before ranks are summed: Cormack and others, 2009
_WITH_NEIGHBOURS: Final = 2  # of them, the best
_LEAST_NEIGHBOUR: Final = 20  # tokens
_NAMED: Final = 8  # documents whose outlines are sent with the passages
_LEAST_FOUND: Final = 3  # passages that are sent however long they take
_MORE: Final = 1.1  # times the wanted tokens may be sent
# Weights of the best passage: for less than the first a question is searched with the one before
# it, and for less than the second it is not about the documents (docs/measurements/documents.md).
_NAMED_CLEARLY, _NAMED_AT_ALL = 1.0, 0.5
_NAMED_BY_TASK: Final = 0.5  # of all that a wish for a text names
_LEAST_TOKENS: Final = 60  # of a passage, on the average
_MESSAGE_TOKENS: Final = 8  # of the template around a message
# Not translated: what stands first must be the same tokens whatever language the window speaks.
# Citations are not asked for: small models then write nothing else, and sources are found in the
# answer's text (docs/experiments.md).
_REQUEST: Final = {
    "en": "Answer the question in whole sentences, from the documents above. If they do not say it,"
    " say so.",
    "zh": "请根据上面的文档，用完整的句子回答问题。文档里没有说的，请说明没有。",
}
# Lines of a text that could be taken for ours, which stand between the parts.
_LOOKS_NUMBERED: Final = re.compile(r"^(?=\[\d+\]|Document:)", re.MULTILINE)
_QUESTION: Final = {"en": "Question:", "zh": "问题："}


class DocumentModel(Protocol):
    """The loaded model, for the thread that plans, which waits for it."""

    def count_tokens(self, text: str) -> int:
        """The tokens of a text."""

    def similarities(self, question: str, passages: tuple[str, ...]) -> Sequence[float]:
        """The similarity of each passage to a question: see `CPUInference.similarities`."""


@dataclass(frozen=True, slots=True)
class DocumentPrompt:
    """The documents' part of the prompt that a `conversation` makes, which ends with the question.

    `system` comes first, before the conversation's own instructions; `question` replaces the last
    message. `sources` are the parts that are sent, best first, each under its number. `documents`
    are read whole: `system` begins with them, so its first tokens are the same for every question,
    and ends with `outline`. `whole`: these are all. `tokens` are those of both texts.
    """

    conversation: tuple[Message, ...]
    system: str
    question: str
    sources: tuple[Source, ...] = ()
    documents: tuple[str, ...] = ()
    outline: str = ""
    whole: bool = False
    tokens: int = 0

    @property
    def asked(self) -> str:
        return self.conversation[-1].content

    @property
    def messages(self) -> tuple[Message, ...]:
        system, (*rest, last) = [self.system], self.conversation
        if rest and rest[0].role is Role.SYSTEM:
            system.append(rest.pop(0).content)
        text = "\n\n".join(each for each in system if each)
        first = [Message(role=Role.SYSTEM, content=text)] * bool(text)
        return (*first, *rest, last.model_copy(update={"content": self.question}))


def document_owners(sha256s: Iterable[str]) -> list[str]:
    """The names of documents in the prompt cache, where conversations have theirs."""
    return [f"document:{each}" for each in sha256s]


def plan(
    index: DocumentIndex,
    sha256s: Sequence[str],
    messages: Sequence[Message],
    most_tokens: int,
    model: DocumentModel,
    *,
    compares: bool = False,
    searched: Collection[str] = (),
    chosen: Sequence[Passage] | None = None,
    before: str | None = None,
    searched_tokens: int = SEARCHED_TOKENS,
    must_send: bool = True,
) -> DocumentPrompt:
    """Choose what is sent of these documents of the index, in this order.

    `messages` end with the question; with the documents they have at most `most_tokens` of the
    model's. `whole_documents` are read whole, the others searched. Where it `compares`, by an
    embedding model, found passages come in a better order.
    `chosen` are passages that the user chose from an earlier plan, in place of a search. `before`
    is the question before, which names what a follow-up is about; None takes it from the messages.
    Found passages have about `searched_tokens`, and are at least three. Without `must_send` nothing
    is sent for a message that is not about the documents. Raises DocumentIndexFailed,
    DocumentIndexDamaged, and LookupError for a document that is not in the index.
    """
    question, language = messages[-1].content, _language(messages[-1].content)
    if before is None:
        asked_before = [each.content for each in messages[:-1] if each.role is Role.USER]
        before = question_before(asked_before)
    free = most_tokens - model.count_tokens("\n".join(each.content for each in messages[:-1]))
    free -= _MESSAGE_TOKENS * (len(messages) + 1)
    apart = {*searched, *(each.sha256 for each in chosen or ())}
    there = _there(index, sha256s)
    whole, tokens = _fitting(index, there, apart, question=question, free=free, model=model)
    others = [each for each in sha256s if each not in whole]
    read = [part for each in whole for part in index.passages(each)]
    text = _parts(read)
    best = index.search(question, whole, _FOUND) if whole else []
    if chosen is not None:
        found = list(chosen)
    elif others:
        asking = model if compares else None
        nearest = _best_with(index, others, question, before, asking, must_send=must_send)
        found = _with_neighbours(index, nearest, searched_tokens)
    else:
        found = []
    outlines = [
        "\n".join([f"Document: {there[each].name}", *index.outline(each)])
        for each in others[: _NAMED if found else 0]
    ]
    outline = "\n\n".join([*outlines, _REQUEST[language]]) if found or whole else ""
    system = "\n\n".join(each for each in (text, outline) if each)
    while True:
        parts = sorted(found, key=lambda each: (sha256s.index(each.sha256), each.number))
        passages = _parts(parts, len(read) + 1)
        asked = f"{passages}\n\n{_QUESTION[language]} {question}" if parts else question
        tokens = model.count_tokens(f"{system}\n\n{asked}") if outlines else tokens
        ratio = tokens / (estimated_tokens(system + asked) or 1)
        over: float = tokens - free
        least = 0
        if over <= 0 and chosen is None:  # a table's passages have more tokens than is estimated
            over = ratio * estimated_tokens(passages) - _MORE * searched_tokens
            least = _LEAST_FOUND
        if len(found) <= least or over <= 0:
            sources = _sources([*read, *parts], [*found, *best])
            return DocumentPrompt(
                tuple(messages), system, asked, sources, whole, outline, not others, tokens
            )
        while len(found) > least and over > 0:  # the rest is counted once more, not after each
            over -= max(1, ratio * estimated_tokens(found.pop().text))


def question_before(questions: Sequence[str]) -> str:
    """The last of these that names something, or an empty text."""
    found = (each for each in reversed(questions) if named_terms(each) and not follows(each))
    return next(found, "")


def _there(index: DocumentIndex, sha256s: Iterable[str]) -> dict[str, IndexedDocument]:
    found = {each: known for each in sha256s if (known := index.document(each)) is not None}
    if missing := set(sha256s) - found.keys():
        raise LookupError(f"{len(missing)} documents are not in the index")
    return found


def _fitting(
    index: DocumentIndex,
    there: Mapping[str, IndexedDocument],
    apart: Collection[str],
    *,
    question: str,
    free: int,
    model: DocumentModel,
) -> tuple[tuple[str, ...], int]:
    """The documents that are read whole, and their tokens; counted where they may fit."""
    lengths = {sha256: each.passages * _LEAST_TOKENS for sha256, each in there.items()}
    before, whole = None, whole_documents(lengths, apart, free)
    while whole and whole != before:
        most = free if len(whole) == len(there) else free - _LEFT_TOKENS
        tokens = model.count_tokens(f"{whole_text(index, whole, question)}\n\n{question}")
        if tokens <= most:
            return whole, tokens
        more = {each: model.count_tokens(whole_text(index, [each], "")) for each in whole[1:]}
        lengths |= more | {whole[0]: tokens - sum(more.values())}
        before, whole = whole, whole_documents(lengths, apart, free)
    return (), 0


def whole_documents(
    lengths: Mapping[str, int], searched: Collection[str], free: int
) -> tuple[str, ...]:
    """Those of these documents that are read whole, in their order.

    All but the `searched`, and those that alone would not fit; none where these do not fit
    together. `lengths` and `free` are tokens, of which passages have their part where others are
    searched.
    """
    whole = tuple(each for each in lengths if each not in searched and lengths[each] <= free)
    if len(whole) < len(lengths):
        free -= _LEFT_TOKENS
    return whole if sum(lengths[each] for each in whole) <= free else ()


def whole_text(
    index: DocumentIndex, sha256s: Sequence[str], question: str, outline: str = ""
) -> str:
    """The text with which a prompt begins that has all of these documents.

    `outline` stands behind them where others are searched.
    """
    everything = [part for each in sha256s for part in index.passages(each)]
    return f"{_parts(everything)}\n\n{outline or _REQUEST[_language(question)]}"


def _language(question: str) -> str:
    return "zh" if re.search(f"[{UNSPACED}]", question) else "en"


def nearest_first(
    found: Sequence[Passage], question: str, model: DocumentModel | None
) -> list[Passage]:
    """The best of what a search found; with a model that compares, by the sum of both ranks."""
    if model is None or not found:
        return list(found[:_FOUND])
    near = model.similarities(question, tuple(_with_heading(each) for each in found))
    by_meaning = sorted(range(len(found)), key=lambda at: -near[at])
    rank = {at: 1 / (_RANK + at) + 1 / (_RANK + by_meaning.index(at)) for at in range(len(found))}
    return [found[at] for at in sorted(rank, key=lambda at: -rank[at])][:_FOUND]


def _with_heading(passage: Passage) -> str:
    heading, text = passage.place.heading, passage.text
    return text if text.startswith(heading) else f"{heading}\n{text}"


def _best_with(
    index: DocumentIndex,
    sha256s: Sequence[str],
    question: str,
    before: str,
    model: DocumentModel | None,
    *,
    must_send: bool,
) -> list[Passage]:
    """The best passages for a question, which may follow from the one before it."""
    found = index.search(question, sha256s, _COMPARED)
    if brings_its_text(question) and not must_send:
        return []
    weight, share = index.weight(question, found[0], sha256s) if found else (0.0, 0.0)
    names = not is_task(question) or share >= _NAMED_BY_TASK
    following = follows(question)
    if before and (following or weight < _NAMED_CLEARLY) and not is_of_all(question):
        asked = before if following else f"{before}\n{question}"
        together = index.search(asked, sha256s, _COMPARED)
        if together and following:
            return nearest_first(together, asked, model)
        if together and names and index.weight(question, together[0], sha256s)[0] > 0:
            return list(dict.fromkeys((*found[:1], *nearest_first(together, asked, model))))
    if found and (must_send or (weight >= _NAMED_AT_ALL and names)):
        return nearest_first(found, question, model)
    if must_send or is_of_all(question) or following:
        return [part for sha in sha256s[:_NAMED] for part in index.passages(sha, 2)]
    return []


def _with_neighbours(index: DocumentIndex, best: Iterable[Passage], most: int) -> list[Passage]:
    """So many tokens of these passages, the best first, the first ones with their neighbours."""
    wanted: dict[Passage, int] = {}
    for rank, passage in enumerate(best):
        around = index.neighbours(passage) if rank < _WITH_NEIGHBOURS else []
        for each in (passage, *around):
            length = estimated_tokens(each.text)
            if each is passage or length >= _LEAST_NEIGHBOUR:  # a running head says nothing
                wanted.setdefault(each, length)
    found, tokens = list[Passage](), 0
    for passage, length in wanted.items():
        tokens += length
        if tokens > most and len(found) >= _LEAST_FOUND:
            break
        found.append(passage)
    return found


def _sources(parts: Sequence[Passage], best: Sequence[Passage]) -> tuple[Source, ...]:
    rank = {passage: number for number, passage in enumerate(best)}
    sources = [Source(n, passage) for n, passage in enumerate(parts, 1)]
    return tuple(sorted(sources, key=lambda each: rank.get(each.passage, len(rank))))


def _parts(parts: Sequence[Passage], first: int = 1) -> str:
    texts, before = [], ""
    for n, each in enumerate(parts, first):
        if each.sha256 != before:
            texts.append(f"Document: {each.name}")
        before, where = each.sha256, _where(each.place)
        text = _LOOKS_NUMBERED.sub("> ", each.text)
        texts.append(f"[{n}]{where and f' ({where})'}\n{text}")
    return "\n\n".join(texts)


def _where(place: Place) -> str:
    known = (("page", place.page), ("sheet", place.sheet), ("row", place.row), ("line", place.line))
    return ", ".join(f"{name} {value}" for name, value in known if value) or place.heading
