"""Drafts the tokens that followed the last occurrence of the text's end (prompt lookup decoding).

The longest end of the text that occurred before is found in a suffix automaton over the
conversation, what was pasted into it, and the answers before. (Prompt lookup decoding: A. Saxena,
2023; suffix decoding: Oliaro et al., 2024.)
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from deepseek_r1.engine.llama.speculative.proposer import AcceptanceTable, Draft, PassTimes
from deepseek_r1.engine.prompt.prompt_builder import common_length

_NONE = -1


class SuffixAutomaton:
    """Finds where the end of `text` occurred before: the states of all its substrings.

    The construction is that of Blumer et al., 1985 (each token amortised O(1)). In addition, each
    state has the position where its strings ended last. It is updated only where the text's end is
    in that state.

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


LEAST_MATCH = 2  # tokens that must repeat
MOST_TOKENS = 16_384  # of all texts together; older ones are dropped
_KEPT_TOKENS = MOST_TOKENS // 2  # after dropping
# The share of kept tokens by the length of the match before them. Low for short ones: in JSON and
# stories a fifth of all drafted tokens was kept.
_LENGTHS = (2, 3, 4, 6, 8, 12, 16, 24, 32)
_PRIORS = (0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.85, 0.92, 0.95)


class PromptLookup:
    """A `Proposer` that looks the text's end up in all earlier text.

    The memory plan has `LOOKUP_MIB` for its automata.
    """

    def __init__(self) -> None:
        self._automaton = self._shared = SuffixAutomaton()
        self._conversation: list[int] = []  # the prompt and answer at the shared one's end
        self._boundaries = 0
        self.table = AcceptanceTable(_PRIORS)

    def begin(self, prompt: Sequence[int], *, reproducible: bool) -> None:
        """Begin an answer, with all earlier texts unless it has to be `reproducible`."""
        if reproducible:
            self.table = AcceptanceTable(_PRIORS)
            self._automaton = SuffixAutomaton()
            self._extend(prompt[-MOST_TOKENS:])
            return
        self._automaton = self._shared
        known = self._conversation
        same = common_length(known, prompt)
        if same < len(known):  # a token that occurs nowhere else: no match reaches across it
            self._boundaries += 1
            self._automaton.extend(-1 - self._boundaries)
        self._conversation = list(prompt[:same])
        self.observe(prompt[same:])

    def observe(self, tokens: Sequence[int]) -> None:
        if self._automaton is self._shared:
            if len(self._shared.text) + len(tokens) > MOST_TOKENS:
                self._drop_oldest()
            self._conversation += tokens
        self._extend(tokens)

    def _extend(self, tokens: Sequence[int]) -> None:
        for token in tokens[-MOST_TOKENS:]:
            self._automaton.extend(token)

    def _drop_oldest(self) -> None:
        kept = self._shared.text[-_KEPT_TOKENS:]
        self._automaton = self._shared = SuffixAutomaton()
        self._extend(kept)

    def expected_s(self, times: PassTimes, most: int) -> float:
        """Return the seconds of a token with the draft that would be made."""
        return times.best(self._following(most).chances)[1]

    def propose(self, times: PassTimes, most: int) -> Draft:
        """Draft what followed the longest repeated end, as far as it is worth verifying."""
        draft = self._following(most)
        return draft.shortened(times.best(draft.chances)[0])

    def _following(self, most: int) -> Draft:
        matched, start = self._automaton.match()
        if matched < LEAST_MATCH:
            return Draft()
        following = self._automaton.text[start:]
        tokens: list[int] = []
        for depth in range(most):
            token = following[depth % len(following)]  # repeated where the match overlaps itself
            if token < 0:
                break
            tokens.append(token)
        buckets = tuple(_bucket(matched + depth) for depth in range(len(tokens)))
        chances = tuple(self.table.chance(bucket) for bucket in buckets)
        return Draft(tuple(tokens), chances, buckets)


def _bucket(matched: int) -> int:
    return sum(matched >= length for length in _LENGTHS) - 1
