"""Builds prompts for models that have no chat template.

Most old files hold models that continue a text: the messages are joined in order and the model
continues. Dolly was trained on instructions and gets the format that its makers published.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import Message, PromptInput, RawPrompt, Role
from deepseek_r1.formats.header import GGUF, ModelHeader

# Texts that the library turns into control tokens wherever they occur.
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
# Families whose texts the library splits into words by a regular expression, which recurses once a
# character and overflows the stack. The others need each text in one piece.
_REGEX_SPLIT: Final = frozenset({"gpt2", "starcoder", "gptj", "gptneox", "dolly-v2", "mpt"})
_LONGEST_CHARACTERS: Final = 1000
_WORD_CHARACTERS: Final = 200  # every part of a word is looked up, in quadratic time

_WORD_BOUNDARY: Final = re.compile(r"(?<=\S) (?=\S)")

Tokenize = Callable[..., list[int]]


class PlainPromptBuilder:
    """Builds prompts for one model. `tokenize` is the model's."""

    def __init__(self, header: ModelHeader, tokenize: Tokenize) -> None:
        self._family = header.architecture
        # SentencePiece puts a space before a text; the reader of LLaMA's oldest files forgets it.
        self._leading_space = " " if self._family == "llama" and header.container != GGUF else ""
        self._tokenize = tokenize
        markers = _MARKERS.get(self._family, ())
        self._marker = re.compile("|".join(map(re.escape, markers)) or r"(?!)")

    def build(self, messages: PromptInput) -> list[int]:
        """Return the prompt's tokens. Typed text never becomes a control token.

        Raises WrongUsage for a raw prompt with a suffix or with tokens.
        """
        if isinstance(messages, RawPrompt):
            if messages.suffix is not None or messages.tokens:
                raise WrongUsage(
                    detail=tr("The engine for old model files continues a text and nothing else.")
                )
            parts = [(messages.text, False)]
        else:
            parts = list(self._parts(messages))
        if self._family not in _REGEX_SPLIT:
            whole = "".join(text for text, _ in parts)
            begin = self._family == "llama"
            return self._tokenize(self._leading_space + whole, begin=begin) if whole else []
        tokens: list[int] = []
        for text, typed in parts:
            for piece in self._without_markers(text) if typed else [text]:
                for short in _short_pieces(piece):
                    tokens += self._tokenize(short, begin=False)
        return tokens

    def _parts(self, messages: Sequence[Message]) -> Iterator[tuple[str, bool]]:
        """Yield texts, and whether a person or a model wrote them."""
        if self._family == "dolly-v2":
            yield from _instructions(messages)
            return
        for number, message in enumerate(messages):
            if number:
                yield "\n\n", False
            yield message.content, True

    def _without_markers(self, text: str) -> Iterator[str]:
        """Cut the text inside everything that the library would read as a marker."""
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
        cuts = list(_WORD_BOUNDARY.finditer(text, 0, _LONGEST_CHARACTERS))
        at = cuts[-1].start() if cuts else _WORD_CHARACTERS
        yield text[:at]
        text = text[at:]
    if text:
        yield text
