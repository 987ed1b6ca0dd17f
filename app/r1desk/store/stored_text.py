"""Texts and JSON values on their way into the store and out: made safe, titled, cut into one line.

SQLite keeps a NUL inside a text, but its LIKE, its length() and its full-text tokenizer stop there,
so the rest could not be found. A NUL is therefore kept as U+2400, the visible symbol for it. A lone
surrogate is no UTF-8 at all and becomes U+FFFD.
"""

import re
import unicodedata
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from deepseek_r1.core import log

Model = TypeVar("Model", bound=BaseModel)

TITLE_CHARACTERS = 60
PREVIEW_CHARACTERS = 160
_SURROGATE = re.compile("[\ud800-\udfff]")
_MARKUP = re.compile(r"^(?:[#>*+\-–—•=_`~\s]|\d{1,3}[.)]\s)+")
_EMPHASIS = re.compile(r"`+|(?<!\w)(?:\*\*+|~~)(?=\S)|(?<=\S)(?:\*\*+|~~)(?!\w)")  # 2**3 is none
_SENTENCE = re.compile(r"(?<![.!?…])[.!?…]+(?=\s)|[。！？]+")
_LEAST_SENTENCE = 16  # a shorter one is a greeting; characters as wide as two count as two
_SENTENCE_END = "。！？；，、：,.;:!?"


def text_of(value: bytes) -> str:
    """Text from the database; what is no UTF-8 shows as U+FFFD."""
    return value.decode("utf-8", "replace")


def json_of(value: BaseModel | None) -> str | None:
    """A value as the store keeps it."""
    return None if value is None else value.model_dump_json()


def parsed(kind: type[Model], stored: bytes | None) -> Model | None:
    """A value from the database; None where it is unreadable."""
    if stored is None:
        return None
    try:
        return kind.model_validate_json(stored)
    except ValidationError as problem:
        log.store.warning("a stored %s is unreadable: %s", kind.__name__, problem.error_count())
        return None


def clean(text: str) -> str:
    """`text` as the store keeps it: the same, unless it holds NULs or lone surrogates."""
    if _SURROGATE.search(text):
        # Two halves of one character may have come as two surrogates: join them first.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\0", "\u2400")


def one_line(text: str, characters: int = PREVIEW_CHARACTERS) -> str:
    """The beginning of `text` with all white space as single spaces."""
    return " ".join(text[: characters * 4].split())[:characters]


def title_from(text: str) -> str:
    """A title from a user's message: its first sentence, at most 60 characters.

    A greeting or another short sentence takes the next one with it. Markdown signs and code fences
    at the beginning are left out, in it the signs of bold, struck out and code, and a full stop or
    colon at the end. A long sentence is cut at the end of a word where one is near, and gets an
    ellipsis.
    """
    plain = (_MARKUP.sub("", line) for line in clean(text)[:10_000].splitlines())
    lines = (_printable(_EMPHASIS.sub("", line)) for line in plain)
    line = next((line for line in lines if any(c.isalnum() for c in line)), "")
    line = _first_sentence(line or _printable(clean(text)[:400]))
    if len(line) <= TITLE_CHARACTERS:
        return line
    return _cut(line, TITLE_CHARACTERS - 1) + "…"


def _first_sentence(line: str) -> str:
    """`line` up to the end of its first sentence that is no mere greeting."""
    for found in _SENTENCE.finditer(line):
        sentence = line[: found.end()].rstrip()
        wide = sum(unicodedata.east_asian_width(character) in {"W", "F"} for character in sentence)
        if len(sentence) + wide >= _LEAST_SENTENCE:
            line = sentence
            break
    return (
        line.rstrip("。：:") or line
        if line[-1:] in "。：:"
        else re.sub(r"(?<=[^.\s])\.$", "", line)
    )


def _printable(line: str) -> str:
    kept = (" " if unicodedata.category(c) in {"Cc", "Zl", "Zp"} else c for c in line)
    return " ".join("".join(kept).split())


def _cut(line: str, limit: int) -> str:
    """At most `limit` characters of a longer `line`, whole words where the script has any."""
    space = line.rfind(" ", 0, limit + 1)
    cut = space if space >= limit * 2 // 3 else limit
    return line[:cut].rstrip(" " + _SENTENCE_END)
