"""What a caller gave, made into the values the layers below take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.core.words import tr
from deepseek_r1.formats.gguf import ModelHeader

Prompt = str | Sequence[Message]


def default_context(header: ModelHeader) -> int:
    """The default length, or all a smaller model was trained for."""
    default = LoadSettings().context_length
    return min(default, header.context_trained) if header.context_trained > 0 else default


def with_options(settings: LoadSettings, **options: Any) -> LoadSettings:
    """`settings` with the options that are not None. Raises WrongUsage."""
    given = {key: value for key, value in options.items() if value is not None}
    if not given:
        return settings
    try:
        return LoadSettings.model_validate(settings.model_dump() | given)
    except ValidationError as error:
        raise WrongUsage(detail=_complaint(error)) from error


def sampling_for(sampling: SamplingSettings | None, max_tokens: int | None) -> SamplingSettings:
    """`sampling` or the defaults, with `max_tokens` where given. Raises WrongUsage."""
    chosen = sampling or SamplingSettings()
    if max_tokens is None:
        return chosen
    try:
        return SamplingSettings.model_validate(chosen.model_dump() | {"max_tokens": max_tokens})
    except ValidationError as error:
        raise WrongUsage(detail=_complaint(error)) from error


def _complaint(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())


def as_messages(prompt: Prompt) -> Sequence[Message]:
    """A text alone is what the user says. Raises WrongUsage for an empty conversation."""
    if isinstance(prompt, str):
        return [Message(role=Role.USER, content=prompt)]
    if not prompt:
        raise WrongUsage(detail=tr("There is no message to answer."))
    if not all(isinstance(message, Message) for message in prompt):
        raise WrongUsage(detail=tr("A list holds texts or messages, not both."))
    return prompt
