"""Cuts a document into the passages that are found, numbered and sent to a model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from deepseek_r1.documents.document import BETWEEN_BLOCKS, Document, Passage, Place

PASSAGE_TOKENS: Final = 200
_MOST_TOKENS: Final = 270  # of a block that is not cut
_HEADING_TOKENS: Final = 100  # so many before a heading, and it begins a passage
_PART = re.compile(r".{1,1000}?(?:[.!?]\s+|[。！？；]+\s*|\n\s*|\Z)|.{1,1000}", re.DOTALL)

# Characters of scripts without spaces: Thai and its neighbours, kana, Han, Hangul.
UNSPACED: Final = (
    "\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_UNSPACED = re.compile(f"[{UNSPACED}]")


def estimated_tokens(text: str) -> int:
    """About how many tokens a model makes of this text, without a model."""
    unspaced = len(text) - len(_UNSPACED.sub("", text)) if not text.isascii() else 0
    return round(unspaced * 0.7 + (len(text) - unspaced) * 0.25)


def passages(document: Document) -> list[Passage]:
    """Cut a document into passages of about 200 tokens, in order.

    Each lies on one page and in one sheet. Together they have the whole text but for the blank
    lines between blocks: `start` and `end` are offsets in `document.text()`.
    """
    text = document.text()
    spans = (span for group in _groups(_pieces(document)) for span in _spans(group))
    return [
        Passage(
            document.sha256,
            document.name,
            number,
            place,
            text[start:end],
            start,
            end,
        )
        for number, (start, end, place) in enumerate(spans)
    ]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A block, or a part of a long one."""

    start: int
    end: int
    tokens: int
    place: Place


def _pieces(document: Document) -> Iterator[_Piece]:
    start = 0
    for block in document.blocks:
        at, place = start, block.place
        for part in _parts(block.text):
            yield _Piece(at, at + len(part), estimated_tokens(part), place)
            at += len(part)
            if place.line is not None:
                place = replace(place, line=place.line + part.count("\n"))
        start += len(block.text) + len(BETWEEN_BLOCKS)


def _parts(text: str) -> Iterable[str]:
    """The text itself, or, of a long one, its sentences."""
    if not text.strip():
        return ()
    return _PART.findall(text) if estimated_tokens(text) > _MOST_TOKENS else (text,)


def _groups(pieces: Iterable[_Piece]) -> Iterator[list[_Piece]]:
    """What may become one passage: of one page or sheet; a heading ends it unless it is short."""
    group: list[_Piece] = []
    for piece in pieces:
        if group:
            before, now = group[-1].place, piece.place
            elsewhere = (before.page, before.sheet) != (now.page, now.sheet)
            headed = before.heading != now.heading
            if elsewhere or (headed and sum(each.tokens for each in group) >= _HEADING_TOKENS):
                yield group
                group = []
        group.append(piece)
    if group:
        yield group


def _spans(group: list[_Piece]) -> Iterator[tuple[int, int, Place]]:
    """Divide a group into passages of about the same length."""
    whole = sum(piece.tokens for piece in group)
    length = whole / max(1, round(whole / PASSAGE_TOKENS))
    first, tokens = group[0], 0
    last = first
    for piece in group:
        if tokens and tokens + piece.tokens / 2 > length:
            yield first.start, last.end, first.place
            first, tokens = piece, 0
        tokens += piece.tokens
        last = piece
    yield first.start, last.end, first.place
