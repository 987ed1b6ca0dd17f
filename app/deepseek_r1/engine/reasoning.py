"""Thinking and answer told apart while they stream.

R1 thinks first, between `<think>` and `</think>`, then answers. The opening tag may have been
written by the template already, the closing tag may never come, the block may be empty. Only a
block at the very start counts: an answer may speak about the tags, in code or in prose.
White space next to a tag belongs to the tag and is left out; every other character is given on.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

OPEN_TAG = "<think>"
CLOSE_TAG = "</think>"


class Part(Enum):
    """What a piece of text belongs to."""

    THINKING = auto()
    CLOSED = auto()  # no text: the thinking is over
    ANSWER = auto()


class Piece(NamedTuple):
    """Some text and where it belongs."""

    part: Part
    text: str


class _State(Enum):
    START = auto()  # nothing but white space or the beginning of an opening tag so far
    OPENED = auto()  # just after an opening tag: white space is dropped
    THINKING = auto()
    CLOSED = auto()  # just after the closing tag: white space is dropped
    ANSWER = auto()


class ReasoningSplitter:
    """Splits one answer. The result does not depend on how the text was cut into pieces."""

    def __init__(self, *, opened: bool) -> None:
        """`opened`: the prompt itself ends with an opening tag."""
        self._state = _State.OPENED if opened else _State.START
        self._held = ""  # may still turn out to be a tag, or white space next to one

    @property
    def thinking(self) -> bool:
        """True while the text read so far is inside a thinking block."""
        return self._state in (_State.OPENED, _State.THINKING)

    @property
    def answering(self) -> bool:
        """True once a thinking block is closed, or the text has begun without one."""
        return self._state in (_State.CLOSED, _State.ANSWER)

    def feed(self, text: str) -> list[Piece]:
        """What is certain after `text`."""
        if self._state is _State.ANSWER:
            return [Piece(Part.ANSWER, text)] if text else []
        self._held += text
        pieces: list[Piece] = []
        while self._step(pieces):
            pass
        return pieces

    def finish(self) -> list[Piece]:
        """What was held back, now that nothing follows."""
        held, self._held = self._held, ""
        if self._state is _State.THINKING:
            held = held.rstrip()
        elif self._state in (_State.OPENED, _State.CLOSED):
            held = held.lstrip()
        if not held:
            return []
        return [Piece(Part.THINKING if self.thinking else Part.ANSWER, held)]

    def _step(self, pieces: list[Piece]) -> bool:
        """Work on the held text once; True when the state changed and there is more to do."""
        match self._state:
            case _State.START:
                return self._start()
            case _State.OPENED:
                return self._drop_space(_State.THINKING)
            case _State.THINKING:
                return self._think(pieces)
            case _State.CLOSED:
                return self._drop_space(_State.ANSWER)
            case _State.ANSWER:
                if self._held:
                    pieces.append(Piece(Part.ANSWER, self._held))
                    self._held = ""
                return False

    def _start(self) -> bool:
        seen = self._held.lstrip()
        if seen.startswith(OPEN_TAG):
            self._held = seen[len(OPEN_TAG) :]
            self._state = _State.OPENED
            return True
        if OPEN_TAG.startswith(seen):
            return False
        self._state = _State.ANSWER
        return True

    def _drop_space(self, after: _State) -> bool:
        self._held = self._held.lstrip()
        if not self._held:
            return False
        self._state = after
        return True

    def _think(self, pieces: list[Piece]) -> bool:
        end = self._held.find(CLOSE_TAG)
        if end >= 0:
            thought = self._held[:end].rstrip()
            if thought:
                pieces.append(Piece(Part.THINKING, thought))
            pieces.append(Piece(Part.CLOSED, ""))
            self._held = self._held[end + len(CLOSE_TAG) :]
            self._state = _State.CLOSED
            return True
        sure = len(_without_tag_start(self._held).rstrip())
        if sure:
            pieces.append(Piece(Part.THINKING, self._held[:sure]))
            self._held = self._held[sure:]
        return False


def _without_tag_start(text: str) -> str:
    """`text` without a beginning of the closing tag at its end."""
    at = text.rfind("<")
    return text[:at] if at >= 0 and CLOSE_TAG.startswith(text[at:]) else text
