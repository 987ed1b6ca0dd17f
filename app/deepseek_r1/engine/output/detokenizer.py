"""Turns the bytes of tokens into text; a character may be spread over several tokens.

Byte-level vocabularies cut Chinese characters and emoji anywhere. A character is returned when its
last byte is known; bytes that can never become one turn into U+FFFD.
"""

from __future__ import annotations

import codecs

_new_decoder = codecs.getincrementaldecoder("utf-8")


class Detokenizer:
    """Decodes the pieces of one answer in order."""

    def __init__(self) -> None:
        self._decoder = _new_decoder(errors="replace")

    def feed(self, piece: bytes) -> str:
        """Return the text that `piece` completes; empty while a character is unfinished."""
        return self._decoder.decode(piece)

    def drop_unfinished(self) -> None:
        """Drop an unfinished character."""
        self._decoder.reset()

    def finish(self) -> str:
        """Return U+FFFD for an unfinished character at the end, or nothing."""
        return self._decoder.decode(b"", final=True)


def to_utf8(text: str) -> bytes:
    """Encode `text` for the engine. Lone surrogates, which have no UTF-8, become U+FFFD."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text).encode("utf-8")
