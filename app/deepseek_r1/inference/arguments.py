"""Converts the caller's arguments to values of the layers below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from deepseek_r1.core.errors import PromptTooLong, R1Error, WrongUsage
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import (
    Message,
    PartialAnswer,
    PromptInput,
    RawPrompt,
    Role,
    message_from,
)
from deepseek_r1.core.settings import LoadSettings, SamplingOptions, SamplingSettings
from deepseek_r1.engine.interface import Engine
from deepseek_r1.engine.output.schema import Schema

_SettingsT = TypeVar("_SettingsT", LoadSettings, SamplingSettings)
Prompt = str | Sequence[Message | Mapping[str, Any]] | RawPrompt
Documents = Sequence[str | Path] | str | Path


class SharedOptions(SamplingOptions, total=False):
    """The keywords that several answers may share, for type checkers."""

    sampling: SamplingSettings | None
    json_schema: Schema | None


class AnswerOptions(SharedOptions, total=False):
    """The keywords of one answer; see `CPUInference.generate`."""

    documents: Documents
    continues: PartialAnswer | None


def with_options(settings: LoadSettings, **options: Any) -> LoadSettings:
    """Return `settings` with the options that are not None. Raises WrongUsage."""
    return _changed(settings, {key: each for key, each in options.items() if each is not None})


def sampling_for(
    sampling: SamplingSettings | None,
    max_tokens: int | None,
    options: SamplingOptions | None = None,
) -> SamplingSettings:
    """Return `sampling` or the defaults, with `max_tokens` and `options` where given.

    Raises WrongUsage.
    """
    given: dict[str, Any] = dict(options or {})
    if max_tokens is not None:
        given["max_tokens"] = max_tokens
    return _changed(sampling or SamplingSettings(), given)


def _changed(settings: _SettingsT, given: dict[str, Any]) -> _SettingsT:
    try:
        return settings.model_validate(settings.model_dump() | given) if given else settings
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise WrongUsage(detail="; ".join(faults)) from error


def is_list_of_prompts(prompt: object) -> bool:
    """Return whether `prompt` holds several prompts: texts, conversations or raw prompts."""
    if isinstance(prompt, str) or not isinstance(prompt, Sequence):
        return False
    return not prompt or not isinstance(prompt[0], Message | Mapping)


def as_messages(prompt: Prompt) -> PromptInput:
    """Return the prompt as messages; a plain text becomes one of the user's.

    Raises WrongUsage for an empty conversation and for anything else.
    """
    if isinstance(prompt, RawPrompt):
        return prompt
    if isinstance(prompt, str):
        return [Message(role=Role.USER, content=prompt)]
    if not isinstance(prompt, Sequence):
        raise WrongUsage(
            detail=tr(
                "A prompt is a text or a list of messages, not of the type {type}.",
                type=type(prompt).__name__,
            )
        )
    if not prompt:
        raise WrongUsage(detail=tr("There is no message to answer."))
    return [_as_message(each) for each in prompt]


def _as_message(given: object) -> Message:
    if isinstance(given, Message):
        return given
    if isinstance(given, Mapping):
        return message_from(given)
    raise WrongUsage(detail=tr("A list must hold either texts or messages, not both."))


def checked_prompts(
    engine: Engine, context_length: int, prompts: Sequence[Prompt]
) -> list[PromptInput | R1Error]:
    """Return each prompt as messages, or the error of one that cannot be answered."""
    outcomes: list[PromptInput | R1Error] = []
    for prompt in prompts:
        try:
            messages = as_messages(prompt)
            tokens = engine.count_tokens(messages, most_tokens=context_length)
            if tokens + 1 > context_length:
                raise PromptTooLong(tokens=tokens, context=context_length)
            outcomes.append(messages)
        except R1Error as error:
            outcomes.append(error)
    return outcomes
