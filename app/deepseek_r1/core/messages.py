"""The messages of a conversation as the engine sees them, and the answer that is wanted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, Field

from deepseek_r1.core.errors import PromptTooLong, WrongUsage
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import SamplingSettings


class Role(StrEnum):
    """The author of a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"  # the result of a call in the answer before it


class ToolCall(BaseModel, frozen=True):
    """A call in a past answer, of a model that calls tools. `arguments` are JSON text."""

    name: str
    arguments: str = "{}"
    id: str = ""


class Message(BaseModel, frozen=True):
    """One message of a conversation.

    The thinking of past answers is not sent to the model, so a message does not contain it.
    `tool_calls` are those of an answer; `name` and `tool_call_id` say which of them a tool's
    message belongs to.
    """

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    name: str = ""
    tool_call_id: str = ""


class PartialAnswer(BaseModel, frozen=True, extra="forbid"):
    """An answer that ended early, as far as it came: the beginning of its continuation.

    `thinking` and `text` are exactly what the events carried. `inside_thinking`: it ended before
    its thinking block was closed, so `text` is empty.
    """

    thinking: str = ""
    text: str = ""
    inside_thinking: bool = False

    def extended(self, more: PartialAnswer) -> PartialAnswer:
        """Return this answer with its continuation."""
        return PartialAnswer(
            thinking=self.thinking + more.thinking,
            text=self.text + more.text,
            inside_thinking=more.inside_thinking,
        )


class RawPrompt(BaseModel, frozen=True):
    """A prompt without roles: the model continues it, past any chat template.

    Markers in `text` are control tokens, as in the template. `tokens`, where there are any, are the
    prompt itself. With a `suffix` the model fills in what is between `text` and it.
    """

    text: str = ""
    suffix: str | None = None
    tokens: tuple[Annotated[int, Field(ge=0, le=2**31 - 1)], ...] = ()


PromptInput = Sequence[Message] | RawPrompt

_ROLES = {"developer": Role.SYSTEM}  # OpenAI's other name


def message_from(given: Mapping[str, Any]) -> Message:
    """Return the message of a dict with `role` and `content`, as OpenAI's clients write it.

    The content is a text or a list of parts of the type `text`. Calls of tools and their results
    are kept, other keys are ignored. Raises WrongUsage.
    """
    role = given.get("role")
    try:
        known = _ROLES.get(str(role)) or Role(str(role))
    except ValueError:
        roles = ", ".join([*Role, *_ROLES])
        raise WrongUsage(
            detail=tr("A message's role is one of {roles}, not “{role}”.", roles=roles, role=role)
        ) from None
    try:
        calls = tuple(map(_tool_call, given.get("tool_calls") or ()))
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise WrongUsage(
            detail=tr("A call of a tool has a function with a name and arguments.")
        ) from error
    of_tool = {
        key: str(given[key])
        for key in ("name", "tool_call_id")
        if known is Role.TOOL and given.get(key)
    }
    content = _content_text(given.get("content"))
    return Message(role=known, content=content, tool_calls=calls, **of_tool)


def _tool_call(given: Mapping[str, Any]) -> ToolCall:
    function = given["function"]
    arguments = function.get("arguments") or "{}"
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return ToolCall(name=function["name"], arguments=text, id=given.get("id") or "")


def _content_text(content: object) -> str:
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if not isinstance(content, list | tuple):
        raise WrongUsage(detail=tr("A message's content is a text or a list of parts."))
    parts = []
    for part in content:
        kind = part.get("type", "text") if isinstance(part, Mapping) else None
        text = part.get("text") if isinstance(part, Mapping) else None
        if kind not in ("text", "input_text") or not isinstance(text, str):
            raise WrongUsage(
                detail=tr("A message may contain text alone, not “{kind}”.", kind=kind)
            )
        parts.append(text)
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """One answer that is wanted, to a conversation or a raw prompt.

    `json_schema`, as JSON text, constrains the answer after the thinking. `continues` is an answer
    to the same messages that ended early: the events have what follows it; not together with a
    schema. `text_every_s`: a fast model's text comes in fewer events, at least this far apart; all
    of it comes, also before a failure. `reserve` are tokens of the context that must be free for
    the answer.
    """

    messages: PromptInput
    sampling: SamplingSettings
    json_schema: str = ""
    continues: PartialAnswer | None = None
    text_every_s: float = 0.0
    reserve: int = 0

    def require_place(self, tokens: int, context_length: int) -> None:
        """Raise PromptTooLong where a prompt of so many tokens leaves too little for the answer."""
        if tokens + max(1, self.reserve) > context_length:
            raise PromptTooLong(tokens=tokens, context=context_length, reserve=self.reserve)

    @property
    def plain(self) -> bool:
        """Whether the text is all answer, thinking tags included: that to a raw prompt."""
        return isinstance(self.messages, RawPrompt)
