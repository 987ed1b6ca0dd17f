"""A suffix automaton over a growing text: it finds where the text's end occurred before.

The construction is that of Blumer et al., 1985 (each token amortised O(1)). In addition, each state
has the position where its strings ended last. It is updated only where the text's end is in that
state.
"""

from __future__ import annotations

from array import array

_NONE = -1
_STATE_BYTES = 5 * 4  # of the arrays
_BRANCH_BYTES = 360  # a dictionary of a few transitions, with its integers


class SuffixAutomaton:
    """The states and transitions of all substrings of `text`.

    Most states have one transition, which is kept in two arrays; only the others have a dictionary.
    """

    def __init__(self) -> None:
        self.text: array[int] = array("i")
        self._length = array("i", [0])
        self._link = array("i", [_NONE])
        self._end = array("i", [_NONE])  # the position of the last token of an occurrence
        self._token = array("i", [_NONE])
        self._next = array("i", [_NONE])
        self._branches: dict[int, dict[int, int]] = {}
        self._last = 0

    @property
    def bytes(self) -> int:
        """Roughly the memory that it takes."""
        return (
            len(self._length) * _STATE_BYTES
            + len(self._branches) * _BRANCH_BYTES
            + 4 * len(self.text)
        )

    def match(self) -> tuple[int, int]:
        """Return the length of the longest end of the text that occurred before, and where.

        That is the position behind an earlier occurrence, mostly the last one. (0, 0) for none.
        """
        state = self._link[self._last]
        return (self._length[state], self._end[state] + 1) if state > 0 else (0, 0)

    def extend(self, token: int) -> None:
        """Append a token, which must not be -1."""
        repeated = self._link[self._last]
        if repeated > 0:  # from now on this occurrence is the last one
            self._end[repeated] = len(self.text) - 1
        state = self._add(self._length[self._last] + 1, 0, len(self.text))
        self.text.append(token)
        at, found = self._last, _NONE
        while at != _NONE and (found := self._target(at, token)) == _NONE:
            self._set_target(at, token, state)
            at = self._link[at]
        self._last = state
        if at == _NONE:
            return
        if self._length[found] != self._length[at] + 1:
            found = self._split(at, token, found)
        self._link[state] = found

    def _split(self, at: int, token: int, state: int) -> int:
        """Split the shorter strings of `state` off into a state of their own, and return that."""
        shorter = self._add(self._length[at] + 1, self._link[state], self._end[state])
        self._token[shorter], self._next[shorter] = self._token[state], self._next[state]
        if state in self._branches:
            self._branches[shorter] = self._branches[state].copy()
        while at != _NONE and self._target(at, token) == state:
            self._set_target(at, token, shorter)
            at = self._link[at]
        self._link[state] = shorter
        return shorter

    def _add(self, length: int, link: int, end: int) -> int:
        for column, value in (
            (self._length, length),
            (self._link, link),
            (self._end, end),
            (self._token, _NONE),
            (self._next, _NONE),
        ):
            column.append(value)
        return len(self._length) - 1

    def _target(self, state: int, token: int) -> int:
        if self._token[state] == token:
            return self._next[state]
        branches = self._branches.get(state)
        return branches.get(token, _NONE) if branches is not None else _NONE

    def _set_target(self, state: int, token: int, target: int) -> None:
        if self._token[state] in (_NONE, token):
            self._token[state], self._next[state] = token, target
        else:
            self._branches.setdefault(state, {})[token] = target
