"""The model's chat template: renders a conversation as the text the model was trained on.

The file that has the template is untrusted: it is compiled and rendered in a process of its own,
inside limits of time and memory (`template_process`).
"""

import re
from collections.abc import Mapping, Sequence
from string import Template
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from deepseek_r1.core.errors import ConversationRefused, TemplateUnusable, WrongUsage
from deepseek_r1.core.events import TemplateSource, TemplateUsed
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.engine.output.reasoning import CLOSE_TAG, OPEN_TAG, THINK, thinking_format
from deepseek_r1.engine.prompt.template_process import render_in_process
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.formats.template_file import (
    COMPLETION,
    FAMILY,
    MAX_SOURCE_CHARACTERS,
    TEMPLATE_NAMES,
)

_MARKER = "Answer-In-Verse"
_QUESTION = "Hello"
_USER = {"role": "user", "content": _QUESTION}
_SYSTEM = {"role": "system", "content": _MARKER}


class ChatTemplate:
    """A usable template. Raises TemplateUnusable for every problem with it."""

    def __init__(self, source: str) -> None:
        if not source.strip():
            raise TemplateUnusable(detail=tr("The template is empty."))
        if len(source) > MAX_SOURCE_CHARACTERS:
            raise TemplateUnusable(
                detail=tr("The template is too long: it has {n} characters.", n=len(source))
            )
        self._source = source
        found = thinking_format(source)
        self.reasons, self.form = found is not None, found or THINK
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
        call = self._call(rendered, bos=bos, eos=eos, generation_prompt=generation_prompt)
        ((outcome, text),) = render_in_process(self._source, [call])
        if outcome != "text":
            raise ConversationRefused(detail=text)
        return text

    def _try_out(self) -> tuple[bool, bool]:
        """Render a question without and with instructions; return whether each is in the text."""
        (outcome, text), (with_system, text_with_system) = render_in_process(
            self._source, [self._call([_USER]), self._call([_SYSTEM, _USER])]
        )
        if outcome != "text":
            raise TemplateUnusable(detail=text)
        if with_system == "failed":
            raise TemplateUnusable(detail=text_with_system)
        supports_system = with_system == "text" and _MARKER in text_with_system
        return _QUESTION in text, supports_system

    def _call(
        self,
        messages: list[dict[str, Any]],
        *,
        bos: str = "",
        eos: str = "",
        generation_prompt: bool = True,
    ) -> Mapping[str, Any]:
        """The variables of one rendering. Some templates turn the thinking off unless asked."""
        return {
            "messages": messages,
            "add_generation_prompt": generation_prompt,
            "bos_token": bos,
            "eos_token": eos,
            **({"enable_thinking": True} if self.reasons else {}),
        }

    def opens_thinking(self, prompt: str) -> bool:
        return prompt.rstrip().endswith(self.form.open_tag)


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


def _system_into_user(messages: Sequence[Message]) -> list[Message]:
    """Put instructions before the first question, where a template has no place for them."""
    instructions = [m.content for m in messages if m.role is Role.SYSTEM and m.content]
    others = [m for m in messages if m.role is not Role.SYSTEM]
    if not instructions or not others or others[0].role is not Role.USER:
        return others
    first = Message(role=Role.USER, content="\n\n".join([*instructions, others[0].content]))
    return [first, *others[1:]]


_DEEPSEEK = (
    "{% for m in messages if m.role == 'system' %}{{ m.content }}{% endfor %}"
    "{% for m in messages if m.role != 'system' %}"
    "{% if m.role == 'user' %}{{ '<｜User｜>' + m.content }}"
    "{% else %}{{ '<｜Assistant｜>' + m.content.split('" + CLOSE_TAG + "')[-1] }}"
    "{{ '<｜end▁of▁sentence｜>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜>' }}"
)
_TURNS = Template(
    "{% for m in messages %}{{ '$start' + m.role + '$middle' + m.content + '$end' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '${start}assistant$middle' }}{% endif %}"
)
_NAMED_TURNS = Template(
    "{% for m in messages %}"
    "{% if m.role == 'user' %}{{ '$user' + m.content + '$end' }}"
    "{% elif m.role == 'assistant' %}{{ '$assistant' + m.content + '$end' }}"
    "{% elif '$system' %}{{ '$system' + m.content + '$end' }}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '$assistant' }}{% endif %}"
)


def _turns(start: str, middle: str, end: str) -> str:
    """Turns that begin and end alike, with the role between `start` and `middle`."""
    return _TURNS.substitute(start=start, middle=middle, end=end)


def _named_turns(*, user: str, assistant: str, end: str, system: str = "") -> str:
    """Turns with a beginning for each role; without `system`, instructions join the question."""
    return _NAMED_TURNS.substitute(user=user, assistant=assistant, end=end, system=system)


_SOURCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "chatml": _turns("<|im_start|>", r"\n", r"<|im_end|>\n"),
        "command-r": _named_turns(
            user="<|START_OF_TURN_TOKEN|><|USER_TOKEN|>",
            assistant="<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
            end="<|END_OF_TURN_TOKEN|>",
            system="<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>",
        ),
        "deepseek-r1": _DEEPSEEK + "{{ '" + OPEN_TAG + r"\n' }}{% endif %}",
        "deepseek3": _DEEPSEEK + "{% endif %}",
        "gemma": _named_turns(
            user=r"<start_of_turn>user\n",
            assistant=r"<start_of_turn>model\n",
            end=r"<end_of_turn>\n",
        ),
        "granite": _turns("<|start_of_role|>", "<|end_of_role|>", r"<|end_of_text|>\n"),
        "llama3": _turns("<|start_header_id|>", r"<|end_header_id|>\n\n", "<|eot_id|>"),
        "mistral": (
            "{% for m in messages %}"
            "{% if m.role == 'user' %}{{ '[INST] ' + m.content + '[/INST]' }}"
            "{% elif m.role == 'assistant' %}{{ ' ' + m.content + eos_token }}"
            "{% endif %}{% endfor %}"
        ),
        "phi3": _turns("<|", r"|>\n", r"<|end|>\n"),
        "vicuna": (
            r"{% for m in messages %}{% if m.role == 'system' %}{{ m.content + '\n\n' }}"
            r"{% elif m.role == 'user' %}{{ 'USER: ' + m.content + '\n' }}"
            r"{% else %}{{ 'ASSISTANT: ' + m.content + eos_token + '\n' }}{% endif %}{% endfor %}"
            "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
        ),
        "zephyr": _turns("<|", r"|>\n", r"</s>\n"),
        COMPLETION: (
            r"{% for m in messages %}{{ m.content }}{% if not loop.last %}{{ '\n\n' }}{% endif %}"
            "{% endfor %}"
        ),
    }
)


class _Family(NamedTuple):
    """The marks of a family: `markers` are in its vocabulary, one of `ends` ends its answers.

    Some files of chat models state the end of a text in place of `ends`: then the name decides.
    """

    template: str
    markers: frozenset[str]
    ends: frozenset[str] = frozenset()  # empty: its base models end texts alike
    architectures: frozenset[str] = frozenset()  # empty: any


# The first that fits is used.
_FAMILIES: Final = (
    _Family("deepseek-r1", frozenset({"<｜User｜>", "<｜Assistant｜>", OPEN_TAG})),
    _Family("deepseek3", frozenset({"<｜User｜>", "<｜Assistant｜>"})),
    _Family("chatml", frozenset({"<|im_start|>"}), frozenset({"<|im_end|>"})),
    _Family("llama3", frozenset({"<|start_header_id|>"}), frozenset({"<|eot_id|>"})),
    _Family(
        "gemma",
        frozenset({"<start_of_turn>", "<end_of_turn>"}),
        frozenset({"<end_of_turn>"}),
        architectures=frozenset({"gemma", "gemma2", "gemma3", "gemma3n"}),
    ),
    _Family("phi3", frozenset({"<|assistant|>", "<|end|>"}), architectures=frozenset({"phi3"})),
    _Family("granite", frozenset({"<|start_of_role|>", "<|end_of_role|>"})),
    _Family(
        "command-r", frozenset({"<|START_OF_TURN_TOKEN|>"}), frozenset({"<|END_OF_TURN_TOKEN|>"})
    ),
)
_BASE_NAME: Final = re.compile(r"(?:^|[\W_])(?:base|pt|pretrain(?:ed)?)(?:$|[\W_])", re.IGNORECASE)
_CHAT_NAME: Final = re.compile(r"(?:^|[\W_])(?:it|instruct|chat)(?:$|[\W_])", re.IGNORECASE)


def template_names() -> tuple[str, ...]:
    """Return the names of the templates in the list, and `family`."""
    return (*TEMPLATE_NAMES, FAMILY)


def choose_template(header: ModelHeader, chosen: str = "") -> tuple[str, TemplateUsed]:
    """Return a template's source and where it is from.

    `chosen` is a name from the list or a source; empty takes the file's own or, without one, that
    of the family, which `family` takes in any case. Raises WrongUsage for an unknown name.
    """
    if chosen == FAMILY:
        chosen = family_of(header)
    if chosen:
        if chosen in _SOURCES:
            return _SOURCES[chosen], TemplateUsed(name=chosen, source=TemplateSource.CHOSEN)
        if "{" not in chosen:
            raise WrongUsage(
                detail=tr(
                    "There is no chat template “{name}”. There are: {names}.",
                    name=chosen[:80],
                    names=", ".join(template_names()),
                )
            )
        return chosen, TemplateUsed(source=TemplateSource.CHOSEN)
    if header.template:
        return header.template, TemplateUsed(source=TemplateSource.FILE)
    name = family_of(header)
    source = TemplateSource.FAMILY if name != COMPLETION else TemplateSource.COMPLETION
    return _SOURCES[name], TemplateUsed(name=name, source=source)


def open_template(header: ModelHeader, chosen: str = "") -> tuple[ChatTemplate, TemplateUsed]:
    """Choose a template and compile it. Raises WrongUsage, TemplateUnusable.

    A chosen source that renders no question is refused: any text with a brace compiles.
    """
    source, used = choose_template(header, chosen)
    template = ChatTemplate(source)
    if used.source is TemplateSource.CHOSEN and not template.includes_question:
        raise TemplateUnusable(detail=tr("It leaves the question out of the prompt."))
    return template, used


def family_of(header: ModelHeader) -> str:
    """Return the template of the family that architecture and vocabulary name, or `completion`."""
    stated = (header.name, header.metadata.get("general.finetune"), header.path.stem)
    names = [str(each) for each in stated if each]
    if any(_BASE_NAME.search(name) for name in names):
        return COMPLETION
    is_chat = any(_CHAT_NAME.search(name) for name in names)
    for family in _FAMILIES:
        if (
            family.markers <= header.markers
            and (not family.ends or is_chat or header.end_text in family.ends)
            and (not family.architectures or header.architecture in family.architectures)
        ):
            return family.template
    return COMPLETION
