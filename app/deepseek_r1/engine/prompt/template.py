"""The model's chat template: renders a conversation as the text the model was trained on.

The file that has the template is untrusted: it is compiled and rendered in a process of its own,
inside limits of time and memory (`template_process`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deepseek_r1.core.errors import ConversationRefused, TemplateUnusable
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.engine.output.reasoning import CLOSE_TAG, OPEN_TAG
from deepseek_r1.engine.prompt.template_frames import RenderOutcome
from deepseek_r1.engine.prompt.template_process import render_in_process
from deepseek_r1.formats.template_file import MAX_SOURCE_CHARACTERS

_MARKER = "Answer-In-Verse"
_QUESTION = "Hello"
_USER = {"role": "user", "content": _QUESTION}
_SYSTEM = {"role": "system", "content": _MARKER}


class ChatTemplate:
    """A usable template. Raises TemplateUnusable for every problem with it."""

    def __init__(self, source: str) -> None:
        """Compile `source` and try it."""
        if not source.strip():
            raise TemplateUnusable(detail=tr("The template is empty."))
        if len(source) > MAX_SOURCE_CHARACTERS:
            raise TemplateUnusable(
                detail=tr("The template is too long: it has {n} characters.", n=len(source))
            )
        self._source = source
        self.reasons = OPEN_TAG in source or CLOSE_TAG in source
        self.includes_question, self._supports_system = self._try_out()

    def render(
        self,
        messages: Sequence[Message],
        *,
        bos: str = "",
        eos: str = "",
        generation_prompt: bool = True,
    ) -> str:
        """The prompt for `messages`, ending where the assistant's next words belong.

        `bos` and `eos` are the texts of the model's own begin and end tokens. Raises
        ConversationRefused for messages that it has no form for.
        """
        if not self._supports_system:
            messages = _system_into_user(messages)
        rendered = [_variables(m, takes_calls="tool_calls" in self._source) for m in messages]
        call = _call(rendered, bos=bos, eos=eos, generation_prompt=generation_prompt)
        ((outcome, text),) = render_in_process(self._source, [call])
        if outcome != RenderOutcome.TEXT:
            raise ConversationRefused(detail=text)
        return text

    def _try_out(self) -> tuple[bool, bool]:
        """Render a question without and with instructions; return whether each is in the text."""
        (outcome, text), (with_system, text_with_system) = render_in_process(
            self._source, [_call([_USER]), _call([_SYSTEM, _USER])]
        )
        if outcome != RenderOutcome.TEXT:
            raise TemplateUnusable(detail=text)
        if with_system == RenderOutcome.FAILED:
            raise TemplateUnusable(detail=text_with_system)
        supports_system = with_system == RenderOutcome.TEXT and _MARKER in text_with_system
        return _QUESTION in text, supports_system


def _variables(message: Message, *, takes_calls: bool) -> dict[str, Any]:
    variables: dict[str, Any] = {"role": message.role.value, "content": message.content}
    if message.tool_calls and takes_calls:
        functions = [each.model_dump(include={"name", "arguments"}) for each in message.tool_calls]
        variables["content"] = message.content or None
        variables["tool_calls"] = [
            {"type": "function", "id": call.id, "function": function}
            for call, function in zip(message.tool_calls, functions, strict=True)
        ]
    if message.role is Role.TOOL:
        variables |= {"name": message.name, "tool_call_id": message.tool_call_id}
    return variables


def _call(
    messages: list[dict[str, Any]], *, bos: str = "", eos: str = "", generation_prompt: bool = True
) -> Mapping[str, Any]:
    """The variables of one rendering."""
    return {
        "messages": messages,
        "add_generation_prompt": generation_prompt,
        "bos_token": bos,
        "eos_token": eos,
    }


def _system_into_user(messages: Sequence[Message]) -> list[Message]:
    """Put instructions before the first question, where a template has no place for them."""
    instructions = [m.content for m in messages if m.role is Role.SYSTEM and m.content]
    others = [m for m in messages if m.role is not Role.SYSTEM]
    if not instructions or not others or others[0].role is not Role.USER:
        return others
    first = Message(role=Role.USER, content="\n\n".join([*instructions, others[0].content]))
    return [first, *others[1:]]


def opens_thinking(prompt: str) -> bool:
    """Return whether the prompt itself opens the thinking block."""
    return prompt.rstrip().endswith(OPEN_TAG)
