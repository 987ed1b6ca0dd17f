"""Chat templates for files that have none: a short list, and the choice among them.

The family is told from architecture and vocabulary: each chat format has markers that are tokens of
the model. The vocabularies of base models have them as well, but another token ends their texts, or
their names do not state what they were trained for. A base model continues text without roles.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Template
from types import MappingProxyType
from typing import Final, NamedTuple

from deepseek_r1.core.errors import TemplateUnusable, WrongUsage
from deepseek_r1.core.events import TemplateSource, TemplateUsed
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.template_names import COMPLETION, FAMILY, TEMPLATE_NAMES
from deepseek_r1.engine.output.reasoning import CLOSE_TAG, OPEN_TAG
from deepseek_r1.engine.prompt.template import ChatTemplate
from deepseek_r1.formats.gguf import ModelHeader

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
