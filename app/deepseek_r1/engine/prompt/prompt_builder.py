"""Builds the tokens of a prompt from a conversation, so that nobody can forge a role.

The template's own markers (`<｜User｜>`, `<|im_end|>`) must become their special tokens; the same
characters typed by a person must stay characters. So typed text that looks like a marker passes the
template as a placeholder that nobody can guess, and is restored as plain text. Ordinary
conversations contain none, and are tokenized in one piece, exactly as the model's makers do.
"""

import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from deepseek_r1.core.errors import TextTooLong, WrongUsage
from deepseek_r1.core.frames import without_surrogates
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import Message, PartialAnswer, PromptInput, RawPrompt, Role, ToolCall
from deepseek_r1.engine.prompt.template import ChatTemplate

_PRIVATE = 0xF0000  # a private plane of characters without case or white space
_PRIVATE_COUNT = 0xFFFE
_UNLIKE = ("0", "Z")  # two messages that begin with another token each
_MOST_CHARACTERS = 16  # of a token, on the average of a long text


class Tokenizer(Protocol):
    """The part of a model's vocabulary that is needed here."""

    bos: int
    bos_text: str
    eos_text: str
    adds_bos: bool
    vocabulary: int  # its number of tokens
    fill_in_tokens: tuple[int, int, int]  # before, after and in the gap; -1 where it has none

    @property
    def longest_token(self) -> int:
        """The most bytes of a token."""

    def markers(self) -> Iterable[str]:
        """Yield the texts of all control tokens."""

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Return the tokens of `text` alone; with `special`, markers become special tokens."""


class PromptBuilder:
    """Builds prompts for one model."""

    def __init__(self, template: ChatTemplate, tokenizer: Tokenizer) -> None:
        self._template, self._tokenizer = template, tokenizer
        self.form = form = template.form
        """How the model writes its thinking."""
        texts = sorted({text for text in tokenizer.markers() if text}, key=len, reverse=True)
        self._markers = _pattern_of(texts)
        # Past answers keep their thinking tags: the template looks for them to take them out.
        tags = (form.open_tag, form.close_tag)
        self._answer_markers = _pattern_of([text for text in texts if text not in tags])

    def build(self, messages: PromptInput, *, most_tokens: int = 0) -> tuple[list[int], bool]:
        """Return the tokens, and whether the prompt has already opened a thinking block.

        Raises WrongUsage for a raw prompt that the model has no tokens for. With `most_tokens`,
        raises TextTooLong for a text that has more in any case, before it is tokenized: that takes
        a second or more for a megabyte, and nothing else is computed meanwhile.
        """
        if isinstance(messages, RawPrompt):
            self._require_fitting(messages.text + (messages.suffix or ""), most_tokens)
            return self._raw_tokens(messages), False
        return self._build(messages, generation_prompt=True, most_tokens=most_tokens)

    def _require_fitting(self, text: str, most_tokens: int) -> None:
        """Raise TextTooLong for a text with more than `most_tokens`, even if all are the longest.

        White space does not count: some tokenizers leave it out.
        """
        if not most_tokens or len(text) <= _MOST_CHARACTERS * most_tokens:
            return
        nbytes = len(without_surrogates("".join(text.split())).encode())
        if (least := nbytes // self._tokenizer.longest_token) > most_tokens:
            raise TextTooLong(tokens=least, context=most_tokens)

    def _raw_tokens(self, prompt: RawPrompt) -> list[int]:
        if prompt.suffix is not None:
            return self._fill_in_tokens(prompt.text, prompt.suffix)
        tokens = list(prompt.tokens) or self._tokenizer.tokenize(prompt.text, special=True)
        if any(token >= self._tokenizer.vocabulary for token in prompt.tokens):
            raise WrongUsage(detail=tr("The model has no token {id}.", id=max(prompt.tokens)))
        if self._tokenizer.adds_bos and not prompt.tokens and tokens[:1] != [self._tokenizer.bos]:
            tokens.insert(0, self._tokenizer.bos)
        return tokens

    def _fill_in_tokens(self, before: str, after: str) -> list[int]:
        """Return the prompt of a text with a gap. Typed markers stay text."""
        prefix, suffix, middle = self._tokenizer.fill_in_tokens
        if min(prefix, suffix, middle) < 0:
            raise WrongUsage(detail=tr("This model cannot fill in text: it has no tokens for it."))
        tokens = [self._tokenizer.bos] if self._tokenizer.adds_bos else []
        tokens += [prefix, *self._tokenizer.tokenize(before, special=False)]
        return [*tokens, suffix, *self._tokenizer.tokenize(after, special=False), middle]

    def build_prefix(self, messages: Sequence[Message]) -> list[int]:
        """Return the tokens that every continuation of this conversation begins with.

        They are the common beginning of two prompts with different next messages: a template may
        render the last message in another way than those before it.
        """
        before_answer = not messages or messages[-1].role in (Role.USER, Role.TOOL)
        role = Role.ASSISTANT if before_answer else Role.USER
        one, other = (
            self._build([*messages, Message(role=role, content=text)], generation_prompt=False)[0]
            for text in _UNLIKE
        )
        return one[: common_length(one, other)]

    def closing_tokens(self) -> list[int]:
        """Return the tokens that close a thinking block as the model itself does."""
        return self._tokenizer.tokenize(self.form.end, special=True)

    def answer_tokens(self, partial: PartialAnswer, *, thinking_open: bool) -> list[int]:
        """Return the tokens of an answer from its text; the sampled ones may have been others.

        `thinking_open`: the prompt opened the thinking block.
        """
        tokenize, tokens = self._tokenizer.tokenize, list[int]()
        if partial.thinking or partial.inside_thinking or thinking_open:
            if not thinking_open:
                tokens += tokenize(self.form.begin, special=True)
            tokens += self._typed(partial.thinking)
            if not partial.inside_thinking:
                tokens += self.closing_tokens()
        return tokens + self._typed(partial.text)

    def _typed(self, text: str) -> list[int]:
        """Return the tokens of a text in which no marker becomes a control token."""
        tokens, start = list[int](), 0
        for found in self._markers.finditer(text):
            tokens += self._tokenizer.tokenize(text[start : found.start()], special=False)
            tokens += self._as_plain_text(found[0])
            start = found.end()
        return tokens + self._tokenizer.tokenize(text[start:], special=False)

    def _build(
        self, messages: Sequence[Message], *, generation_prompt: bool, most_tokens: int = 0
    ) -> tuple[list[int], bool]:
        nonce = "".join(chr(_PRIVATE + secrets.randbelow(_PRIVATE_COUNT)) for _ in range(6))
        typed_markers: list[str] = []

        def placeholder(found: re.Match[str]) -> str:
            if found[0] not in typed_markers:
                typed_markers.append(found[0])
            return nonce + chr(_PRIVATE + typed_markers.index(found[0]))

        replaced = [self._replaced(message, placeholder) for message in messages]
        text = self._template.render(
            replaced,
            bos=self._tokenizer.bos_text,
            eos=self._tokenizer.eos_text,
            generation_prompt=generation_prompt,
        )
        self._require_fitting(text.replace(nonce, ""), most_tokens)
        opened = self._template.opens_thinking(text)
        return self._tokens(text, nonce, typed_markers), opened

    def _replaced(self, message: Message, by: Callable[[re.Match[str]], str]) -> Message:
        """Return the message with something else in place of typed markers."""
        answer = message.role is Role.ASSISTANT
        markers = self._answer_markers if answer else self._markers
        changes: dict[str, Any] = {"content": markers.sub(by, message.content)}
        if message.tool_calls or message.name or message.tool_call_id:
            changes |= {
                "name": self._markers.sub(by, message.name),
                "tool_call_id": self._markers.sub(by, message.tool_call_id),
                "tool_calls": tuple(
                    ToolCall(**{key: self._markers.sub(by, text) for key, text in call})
                    for call in message.tool_calls
                ),
            }
        return message.model_copy(update=changes)

    def _tokens(self, text: str, nonce: str, typed_markers: list[str]) -> list[int]:
        first, *rest = text.split(nonce)
        tokens = self._tokenizer.tokenize(first, special=True)
        for part in rest:
            which = ord(part[0]) - _PRIVATE if part else -1
            whole = 0 <= which < len(typed_markers)  # else the template split the placeholder
            if whole:
                tokens += self._as_plain_text(typed_markers[which])
            tokens += self._tokenizer.tokenize(part[1:] if whole else part, special=True)
        if self._tokenizer.adds_bos and tokens[:1] != [self._tokenizer.bos]:
            tokens.insert(0, self._tokenizer.bos)
        return tokens

    def _as_plain_text(self, marker: str) -> list[int]:
        tokens = self._tokenizer.tokenize(marker, special=False)
        if len(tokens) == 1:  # some vocabularies list their markers as words: split it
            tokens = self._tokenizer.tokenize(marker[:1], special=False)
            tokens += self._tokenizer.tokenize(marker[1:], special=False)
        return tokens


def _pattern_of(texts: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(text) for text in texts) or r"(?!)")


def common_length(ones: Sequence[int], others: Sequence[int]) -> int:
    """Return how many of the first tokens are the same."""
    shorter = min(len(ones), len(others))
    return next((i for i in range(shorter) if ones[i] != others[i]), shorter)
