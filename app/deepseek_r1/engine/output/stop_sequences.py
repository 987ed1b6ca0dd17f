"""Finds the first stop sequence in a text that arrives in pieces."""

from __future__ import annotations

from collections.abc import Sequence


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
