"""From a conversation to the tokens of a prompt, so that nobody can forge a role.

The template's own markers (`<｜User｜>`, `<|im_end|>`) must become their special tokens; the same
characters typed by a person must stay characters. So what a person typed that reads like a
marker goes through the template as a stand-in nobody can guess, and is put back as plain text.
Ordinary conversations hold none, and are tokenised whole, exactly as the model's makers do.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence
from typing import Protocol

from deepseek_r1.core.messages import Message, Role
from deepseek_r1.engine.reasoning import CLOSE_TAG, OPEN_TAG
from deepseek_r1.engine.template import ChatTemplate, opens_thinking

_PRIVATE = 0xF0000  # a plane of characters without meaning, case or white space
_PRIVATE_COUNT = 0xFFFE


class Tokenizer(Protocol):
    """What is needed of a model's vocabulary."""

    bos: int
    bos_text: str
    eos_text: str
    adds_bos: bool

    def markers(self) -> Iterable[str]:
        """The texts of all tokens that steer the model instead of saying something."""
        ...

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Tokens of `text`, no others added; markers in it are special tokens if `special`."""
        ...


class PromptBuilder:
    """Makes prompts for one model."""

    def __init__(self, template: ChatTemplate, tokenizer: Tokenizer) -> None:
        self._template = template
        self._tokenizer = tokenizer
        texts = sorted({text for text in tokenizer.markers() if text}, key=len, reverse=True)
        self._marker = _any_of(texts)
        # Past answers keep their thinking tags: the template looks for them to take them out.
        self._marker_in_answer = _any_of([t for t in texts if t not in (OPEN_TAG, CLOSE_TAG)])

    def build(self, messages: Sequence[Message]) -> tuple[list[int], bool]:
        """The tokens, and whether the prompt has already opened a thinking block."""
        nonce = "".join(chr(_PRIVATE + secrets.randbelow(_PRIVATE_COUNT)) for _ in range(6))
        typed: list[str] = []

        def stand_in(found: re.Match[str]) -> str:
            if found[0] not in typed:
                typed.append(found[0])
            return nonce + chr(_PRIVATE + typed.index(found[0]))

        safe = [
            message.model_copy(
                update={"content": self._pattern(message.role).sub(stand_in, message.content)}
            )
            for message in messages
        ]
        text = self._template.render(
            safe, bos=self._tokenizer.bos_text, eos=self._tokenizer.eos_text
        )
        return self._tokens(text, nonce, typed), opens_thinking(text)

    def _pattern(self, role: Role) -> re.Pattern[str]:
        return self._marker_in_answer if role is Role.ASSISTANT else self._marker

    def _tokens(self, text: str, nonce: str, typed: list[str]) -> list[int]:
        first, *rest = text.split(nonce)
        tokens = self._tokenizer.tokenize(first, special=True)
        for part in rest:
            which = ord(part[0]) - _PRIVATE if part else -1
            whole = 0 <= which < len(typed)  # else the template cut the stand-in in two
            if whole:
                tokens += self._as_characters(typed[which])
            tokens += self._tokenizer.tokenize(part[1:] if whole else part, special=True)
        if self._tokenizer.adds_bos and tokens[:1] != [self._tokenizer.bos]:
            tokens.insert(0, self._tokenizer.bos)
        return tokens

    def _as_characters(self, marker: str) -> list[int]:
        tokens = self._tokenizer.tokenize(marker, special=False)
        if len(tokens) == 1:  # some vocabularies list their markers as words: cut it
            tokens = self._tokenizer.tokenize(marker[:1], special=False)
            tokens += self._tokenizer.tokenize(marker[1:], special=False)
        return tokens


def _any_of(texts: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(text) for text in texts) or r"(?!)")
