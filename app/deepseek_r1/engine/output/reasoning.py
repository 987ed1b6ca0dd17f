"""Separates thinking and answer while they stream.

R1 thinks first, between `<think>` and `</think>`, then answers; other families have other tags, a
row of `FORMATS` each. The template may have written the opening tag already, the closing tag may
never come, the block may be empty. Only a block at the very start counts: an answer may mention the
tags, in code or in prose. White space next to a tag belongs to the tag and is dropped; every other
character is passed on.
"""

from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple

OPEN_TAG = "<think>"
CLOSE_TAG = "</think>"


class ThinkingFormat(NamedTuple):
    """The tags of a family's thinking. Each ends with `>` (`generation_output`)."""

    open_tag: str
    close_tag: str
    begin: str  # the opening tag with the white space that the family writes
    end: str  # the closing tag with its white space
    plain: str = ""  # begins an answer without thinking


def _in_lines(open_tag: str, close_tag: str) -> ThinkingFormat:
    return ThinkingFormat(open_tag, close_tag, f"{open_tag}\n", f"\n{close_tag}\n\n")


_ANALYSIS, _FINAL = "<|channel|>analysis<|message|>", "<|channel|>final<|message|>"
_TO_FINAL = f"<|end|><|start|>assistant{_FINAL}"
THINK = _in_lines(OPEN_TAG, CLOSE_TAG)
FORMATS = (
    THINK,
    ThinkingFormat(_ANALYSIS, _TO_FINAL, _ANALYSIS, _TO_FINAL, _FINAL),  # gpt-oss
    _in_lines("<seed:think>", "</seed:think>"),
)


def thinking_format(template: str) -> ThinkingFormat | None:
    """The format that a chat template has; None for a family that does not think."""
    return next((f for f in FORMATS if f.open_tag in template or f.close_tag in template), None)


class SegmentKind(Enum):
    """The kind of a segment of an answer."""

    THINKING = auto()
    CLOSED = auto()  # no text: the thinking is over
    ANSWER = auto()


class OutputSegment(NamedTuple):
    """Some text and its kind."""

    kind: SegmentKind
    text: str


class _State(Enum):
    START = auto()  # nothing but white space or the beginning of an opening tag so far
    OPENED = auto()  # just after an opening tag: white space is dropped
    THINKING = auto()
    CLOSED = auto()  # just after the closing tag: white space is dropped
    ANSWER = auto()


class ReasoningSplitter:
    """Splits one answer. The result does not depend on how the text was cut into pieces."""

    def __init__(
        self, *, thinking_open: bool, plain: bool = False, form: ThinkingFormat = THINK
    ) -> None:
        """`thinking_open`: the prompt itself ends with an opening tag. `plain`: all is answer."""
        self._form = form
        self._state = _State.OPENED if thinking_open else _State.START
        if plain:
            self._state = _State.ANSWER
        self._buffer = ""  # may still turn out to be a tag, or white space next to one

    @property
    def thinking(self) -> bool:
        """Whether the text so far ends inside a thinking block."""
        return self._state in (_State.OPENED, _State.THINKING)

    @property
    def answering(self) -> bool:
        """Whether a thinking block is closed, or the text began without one."""
        return self._state in (_State.CLOSED, _State.ANSWER)

    def feed(self, text: str) -> list[OutputSegment]:
        """Add `text` and return the segments that are certain."""
        if self._state is _State.ANSWER:
            return [OutputSegment(SegmentKind.ANSWER, text)] if text else []
        self._buffer += text
        segments: list[OutputSegment] = []
        while self._step(segments):
            pass
        return segments

    def close(self) -> list[OutputSegment]:
        """Close an open thinking block, as the closing tag would."""
        thought = self._without_tag_start(self._buffer).rstrip()
        if self._state is _State.OPENED:
            thought = thought.lstrip()
        self._buffer, self._state = "", _State.CLOSED
        thoughts = [OutputSegment(SegmentKind.THINKING, thought)] if thought else []
        return [*thoughts, OutputSegment(SegmentKind.CLOSED, "")]

    def finish(self) -> list[OutputSegment]:
        """Return the buffered rest, now that nothing follows."""
        rest, self._buffer = self._buffer, ""
        if self._state is _State.THINKING:
            rest = rest.rstrip()
        elif self._state in (_State.OPENED, _State.CLOSED):
            rest = rest.lstrip()
        if not rest:
            return []
        return [OutputSegment(SegmentKind.THINKING if self.thinking else SegmentKind.ANSWER, rest)]

    def _step(self, segments: list[OutputSegment]) -> bool:
        """Process the buffer once; True when the state changed and there is more to do."""
        match self._state:
            case _State.START:
                return self._start()
            case _State.OPENED:
                return self._drop_space(_State.THINKING)
            case _State.THINKING:
                return self._think(segments)
            case _State.CLOSED:
                return self._drop_space(_State.ANSWER)
            case _State.ANSWER:
                if self._buffer:
                    segments.append(OutputSegment(SegmentKind.ANSWER, self._buffer))
                    self._buffer = ""
                return False

    def _start(self) -> bool:
        seen, form = self._buffer.lstrip(), self._form
        for tag, after in ((form.open_tag, _State.OPENED), (form.plain, _State.CLOSED)):
            if tag and seen.startswith(tag):
                self._buffer, self._state = seen[len(tag) :], after
                return True
        if form.open_tag.startswith(seen) or form.plain.startswith(seen):
            return False
        self._state = _State.ANSWER
        return True

    def _drop_space(self, after: _State) -> bool:
        self._buffer = self._buffer.lstrip()
        if not self._buffer:
            return False
        self._state = after
        return True

    def _think(self, segments: list[OutputSegment]) -> bool:
        tag = self._form.close_tag
        end = self._buffer.find(tag)
        if end >= 0:
            thought = self._buffer[:end].rstrip()
            if thought:
                segments.append(OutputSegment(SegmentKind.THINKING, thought))
            segments.append(OutputSegment(SegmentKind.CLOSED, ""))
            self._buffer = self._buffer[end + len(tag) :]
            self._state = _State.CLOSED
            return True
        sure = len(self._without_tag_start(self._buffer).rstrip())
        if sure:
            segments.append(OutputSegment(SegmentKind.THINKING, self._buffer[:sure]))
            self._buffer = self._buffer[sure:]
        return False

    def _without_tag_start(self, text: str) -> str:
        """Return `text` without a partial closing tag at its end."""
        tag = self._form.close_tag
        starts = (n for n in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:n]))
        return text[: len(text) - next(starts, 0)]


class StopMatcher:
    """Passes text on until a stop sequence begins.

    Text that may be the beginning of one waits for the next piece. The result does not depend on
    how the text was cut into pieces.
    """

    def __init__(self, sequences: Sequence[str] = ()) -> None:
        self._sequences = tuple(sequences)
        self._buffer = ""
        self.found = ""
        """The sequence that ended the text; empty until then."""

    def feed(self, text: str) -> str:
        """Return the text that is certain to be before every stop sequence."""
        if not self._sequences:
            return text
        if self.found:
            return ""
        self._buffer += text
        matches = [(at, s) for s in self._sequences if (at := self._buffer.find(s)) >= 0]
        if matches:  # the first to be complete, however the text was cut
            end, self.found = min(matches, key=lambda match: (match[0] + len(match[1]), match[0]))
        else:
            end = len(self._buffer) - self._possible_start()
        certain, self._buffer = self._buffer[:end], self._buffer[end:]
        return certain

    def finish(self) -> str:
        """Return the text that waited, now that nothing follows."""
        rest, self._buffer = self._buffer, ""
        return "" if self.found else rest

    def _possible_start(self) -> int:
        """Return the length of the text's end that may be the start of a sequence."""
        most = min(max(map(len, self._sequences)) - 1, len(self._buffer))
        return next(
            (
                length
                for length in range(most, 0, -1)
                if any(s.startswith(self._buffer[-length:]) for s in self._sequences)
            ),
            0,
        )
