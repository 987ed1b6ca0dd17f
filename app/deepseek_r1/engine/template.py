"""The model's chat template: a conversation becomes the text the model was trained on.

Rendered as the `transformers` library does (trim_blocks, lstrip_blocks, loop controls, tojson,
raise_exception, strftime_now), inside limits: the file that carries the template is untrusted.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from jinja2 import Template

from deepseek_r1.core.errors import TemplateUnusable
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.words import tr
from deepseek_r1.engine.reasoning import CLOSE_TAG, OPEN_TAG
from deepseek_r1.engine.sandbox import (
    LimitedEnvironment,
    TemplateSaysNoError,
    TooMuchError,
    template_error,
)

MAX_SOURCE_CHARACTERS = 256 * 1024  # the longest seen in the wild has about 30,000
SPARE_CHARACTERS = 256 * 1024  # what a template may write around the contents
COPIES = 16  # how often it may handle the contents


class ChatTemplate:
    """A compiled template. Raises TemplateUnusable for everything that is wrong with one."""

    def __init__(self, source: str | None) -> None:
        """Compile and try out `source`; None where the file has no template."""
        if not source:
            raise TemplateUnusable(detail=tr("The file has none."))
        if len(source) > MAX_SOURCE_CHARACTERS:
            raise TemplateUnusable(detail=tr("It has {n} characters.", n=len(source)))
        self._environment = LimitedEnvironment()
        self._given = {
            "tools": None,
            "documents": None,
            "raise_exception": template_error,
            "strftime_now": _strftime_now,
        }
        self._template = self._compile(source)
        self.reasons = OPEN_TAG in source or CLOSE_TAG in source
        self._takes_system = self._probe_system()

    def render(
        self,
        messages: Sequence[Message],
        *,
        bos: str = "",
        eos: str = "",
        generation_prompt: bool = True,
    ) -> str:
        """The prompt for `messages`, ending where the assistant's next words belong.

        `bos` and `eos` are the texts of the model's own begin and end tokens.
        """
        if not self._takes_system:
            messages = _system_into_user(messages)
        return self._render(
            [{"role": m.role.value, "content": m.content} for m in messages],
            add_generation_prompt=generation_prompt,
            bos_token=bos,
            eos_token=eos,
        )

    def _compile(self, source: str) -> Template:
        try:
            with self._environment.limits(SPARE_CHARACTERS):
                return self._environment.from_string(source)
        except Exception as error:
            raise TemplateUnusable(detail=_sentence(error)) from error

    def _render(self, messages: list[dict[str, str]], **given: str | bool) -> str:
        length = sum(len(m["content"]) for m in messages)
        try:
            with self._environment.limits(SPARE_CHARACTERS + COPIES * length):
                return self._template.render(messages=messages, **self._given, **given)
        except Exception as error:
            raise TemplateUnusable(detail=_sentence(error)) from error

    def _probe_system(self) -> bool:
        """Whether the template does something with a system message. Also its first trial run."""
        user = {"role": "user", "content": "Hello"}
        given: dict[str, str | bool] = {
            "add_generation_prompt": True,
            "bos_token": "",
            "eos_token": "",
        }
        self._render([user], **given)
        marker = "Answer-In-Verse"
        try:
            with_system = [{"role": "system", "content": marker}, user]
            return marker in self._render(with_system, **given)
        except TemplateUnusable as error:
            if isinstance(error.__cause__, TemplateSaysNoError):
                return False
            raise


def _system_into_user(messages: Sequence[Message]) -> list[Message]:
    """Instructions go in front of the first question where a template has no place for them."""
    instructions = [m.content for m in messages if m.role is Role.SYSTEM and m.content]
    others = [m for m in messages if m.role is not Role.SYSTEM]
    if not instructions or not others or others[0].role is not Role.USER:
        return others
    first = Message(role=Role.USER, content="\n\n".join([*instructions, others[0].content]))
    return [first, *others[1:]]


def _strftime_now(pattern: str) -> str:
    """The date, for templates that tell the model what day it is."""
    return time.strftime(pattern[:64])


def _sentence(error: BaseException) -> str:
    if isinstance(error, TemplateSaysNoError):
        return tr("It says: {detail}", detail=str(error)[:280])
    if isinstance(error, TooMuchError):
        return tr("It goes too far: {detail}.", detail=error)
    return f"{type(error).__name__}: {error}"[:300]


def opens_thinking(prompt: str) -> bool:
    """True where the prompt itself already opens the thinking block."""
    return prompt.rstrip().endswith(OPEN_TAG)
