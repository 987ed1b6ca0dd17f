"""From a conversation to the tokens of a prompt, for models that carry no chat template.

Most old files hold models that continue a text. What was said is put together in order, and the
model goes on. Dolly was trained on instructions and gets the form that its makers published.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from deepseek_r1.core.messages import Message, Role
from deepseek_r1.formats.header import GGUF, ModelHeader

# What the library turns into steering tokens wherever it stands in a text.
_MARKERS: Final = {
    "dolly-v2": ("### End", "### Instruction:", "### Response:"),
    "starcoder": (
        "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|end_of_turn|>",
        "<fim-prefix>", "<fim-middle>", "<fim-suffix>", "<fim-pad>",
    ),
}  # fmt: skip
_DOLLY_INTRO: Final = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request."
)
# Families whose texts the library splits into words by a regular expression, which calls itself
# once a character and runs out of stack. The others must see a text whole.
_SPLIT_BY_WORDS: Final = frozenset({"gpt2", "starcoder", "gptj", "gptneox", "dolly-v2", "mpt"})
_LONGEST_CHARACTERS: Final = 1000
_WORD_CHARACTERS: Final = 200  # it looks up every part of a word: long ones take quadratic time

_BETWEEN_WORDS: Final = re.compile(r"(?<=\S) (?=\S)")

Tokenize = Callable[..., list[int]]


class PlainPromptBuilder:
    """Makes prompts for one model. `tokenize` is the model's."""

    def __init__(self, header: ModelHeader, tokenize: Tokenize) -> None:
        self._family = header.architecture
        # SentencePiece puts a space before a text; the reader of LLaMA's oldest files forgets it.
        self._before = " " if self._family == "llama" and header.container != GGUF else ""
        self._tokenize = tokenize
        markers = _MARKERS.get(self._family, ())
        self._marker = re.compile("|".join(map(re.escape, markers)) or r"(?!)")

    def build(self, messages: Sequence[Message]) -> list[int]:
        """The tokens. What a person typed never becomes a steering token."""
        parts = list(self._parts(messages))
        if self._family not in _SPLIT_BY_WORDS:
            whole = "".join(text for text, _ in parts)
            begin = self._family == "llama"
            return self._tokenize(self._before + whole, begin=begin) if whole else []
        tokens: list[int] = []
        for text, typed in parts:
            for piece in self._without_markers(text) if typed else [text]:
                for short in _short_pieces(piece):
                    tokens += self._tokenize(short, begin=False)
        return tokens

    def _parts(self, messages: Sequence[Message]) -> Iterator[tuple[str, bool]]:
        """(text, whether a person or a model wrote it)."""
        if self._family == "dolly-v2":
            yield from _instructions(messages)
            return
        for number, message in enumerate(messages):
            if number:
                yield "\n\n", False
            yield message.content, True

    def _without_markers(self, text: str) -> Iterator[str]:
        """The text, cut inside of what the library would take for a marker."""
        start = 0
        for found in self._marker.finditer(text):
            yield text[start : found.start() + 1]
            start = found.start() + 1
        yield text[start:]


def _instructions(messages: Sequence[Message]) -> Iterator[tuple[str, bool]]:
    yield _DOLLY_INTRO, False
    for message in messages:
        if message.role is Role.ASSISTANT:
            yield "\n\n### Response:\n", False
        elif message.role is Role.USER:
            yield "\n\n### Instruction:\n", False
        else:
            yield "\n\n", False
        yield message.content, True
    yield "\n\n### Response:\n", False


def _short_pieces(text: str) -> Iterator[str]:
    """Cut a long text before a space between words, where words are split anyway."""
    while len(text) > _WORD_CHARACTERS:
        cuts = list(_BETWEEN_WORDS.finditer(text, 0, _LONGEST_CHARACTERS))
        at = cuts[-1].start() if cuts else _WORD_CHARACTERS
        yield text[:at]
        text = text[at:]
    if text:
        yield text
