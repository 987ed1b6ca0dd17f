"""Finds the place where a model's text only repeats itself.

Small models fall into loops and stay there until a limit ends them. Two signs are exact enough to
end a text: the same 64 tokens for the third time, and the same line for the tenth time in a row.
Tables, code and lists repeat short things, or long ones twice. A long reference may repeat a whole
paragraph, but at uneven distances; a loop is short or even.
"""

from collections.abc import Sequence

NGRAM_TOKENS = 64
NGRAM_TIMES = 3
SPAN_TOKENS = 1536  # from the first to the third time, unless they are evenly spaced
NEW_TOKENS = 32  # so many that never stood together before put off any repetition of 64
LINE_TIMES = 10
LINE_BYTES = 16  # shorter lines are brackets and numbers, which may well be repeated
_MAX_LINE_BYTES = 4096
_MODULUS = (1 << 61) - 1
_BASE = 1_000_003


class _RollingHash:
    """The hash of the last `length` tokens (Rabin and Karp, 1987)."""

    def __init__(self, length: int) -> None:
        self._length, self._leaving = length, pow(_BASE, length, _MODULUS)
        self.value = 0

    def append(self, tokens: Sequence[int]) -> int:
        """Add the last of `tokens`, which are all of the text. Returns the hash."""
        value = self.value * _BASE + tokens[-1] + 1
        if len(tokens) > self._length:
            value -= (tokens[-1 - self._length] + 1) * self._leaving
        self.value = value % _MODULUS
        return self.value


class RepetitionDetector:
    """Observes one text as it grows: a thinking block or an answer."""

    def __init__(self) -> None:
        self._tokens: list[int] = []
        self._ngram = _RollingHash(NGRAM_TOKENS)
        self._new = _RollingHash(NEW_TOKENS)
        self._seen: set[int] = set()  # hashes of 32 tokens
        self._new_end = 0  # where 32 tokens ended that had not been seen
        self._first_end: dict[int, int] = {}  # of 64 tokens, by their hash
        self._ends: dict[int, list[int]] = {}  # of those found again, none overlapping
        self._line = b""
        self._last_line = b""
        self._line_count = 0

    def observe(self, tokens: Sequence[int], text: bytes) -> bool:
        """Add new tokens and their text. Returns whether the text repeats itself."""
        repeated = self._observe_text(text)
        for token in tokens:
            repeated = self._observe_token(token) or repeated
        return repeated

    @property
    def next_tokens(self) -> int:
        """The number of further tokens of which only the last one can complete a repetition.

        No 64 tokens that occurred before contain 32 that did not, and a line needs a token.
        """
        ngram = self._new_end + NEW_TOKENS + 1 - len(self._tokens)
        times = self._line_count if len(self._last_line.strip()) >= LINE_BYTES else 0
        return max(1, min(ngram, LINE_TIMES - times))

    def _observe_token(self, token: int) -> bool:
        tokens = self._tokens
        tokens.append(token)
        end = len(tokens)
        if (new := self._new.append(tokens)) not in self._seen or end < NEW_TOKENS:
            self._seen.add(new)
            self._new_end = end
        value = self._ngram.append(tokens)
        if end < NGRAM_TOKENS:
            return False
        first = self._first_end.setdefault(value, end)
        if end - first < NGRAM_TOKENS:
            return False
        ends = self._ends.setdefault(value, [first])
        if end - ends[-1] < NGRAM_TOKENS:
            return False
        ends.append(end)
        if len(ends) < NGRAM_TIMES:
            return False
        one, two, _ = last = ends[-NGRAM_TIMES:]
        if end - one > SPAN_TOKENS and end - two != two - one:
            return False
        return all(_same(tokens, end, earlier) for earlier in last[:-1])

    def _observe_text(self, text: bytes) -> bool:
        if b"\n" not in text:
            if len(self._line) < _MAX_LINE_BYTES:
                self._line += text
            return False
        first, *others = text.split(b"\n")
        complete = [self._line + first, *others[:-1]]
        self._line = others[-1]
        return any(self._observe_line(line) for line in complete)

    def _observe_line(self, line: bytes) -> bool:
        if not line.strip():
            return False
        if line == self._last_line:
            self._line_count += 1
        else:
            self._last_line, self._line_count = line, 1
        return self._line_count >= LINE_TIMES and len(line.strip()) >= LINE_BYTES


def _same(tokens: Sequence[int], end: int, earlier: int) -> bool:
    """Return whether the 64 tokens before both positions are equal, not only their hashes."""
    return tokens[end - NGRAM_TOKENS : end] == tokens[earlier - NGRAM_TOKENS : earlier]
