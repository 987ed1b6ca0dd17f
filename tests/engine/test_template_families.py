"""A file without a chat template gets its family's, determined by architecture and vocabulary."""

from dataclasses import replace
from pathlib import Path

import pytest

from deepseek_r1.core.errors import TemplateUnusable, WrongUsage
from deepseek_r1.core.events import TemplateSource, TemplateUsed
from deepseek_r1.engine.prompt.template import (
    ChatTemplate,
    choose_template,
    open_template,
    template_names,
)
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.formats.header import ModelHeader
from deepseek_r1.formats.template_file import FAMILY, TEMPLATE_NAMES
from support.prompt_chats import assistant, system, user

R1_TEMPLATE = Path(__file__).parent / "r1_distill_qwen.jinja"
CONVERSATION = [
    system("Be brief."),
    user("Hello"),
    assistant("<think>\nA greeting.\n</think>\n\nHi."),
    user("Bye"),
]


TURNS, GEMMA = ["<start_of_turn>", "<end_of_turn>"], {"architecture": "gemma3"}


@pytest.fixture
def header(starter: Path) -> ModelHeader:
    return replace(read_header(starter), template=None)


def without_template(header: ModelHeader, *markers: str, **fields: str) -> ModelHeader:
    changes = {"name": "A model", "path": Path("model.gguf"), "end_text": ""} | fields
    return replace(header, markers=frozenset(markers), **changes)


def test_the_files_own_template_comes_first(starter: Path) -> None:
    header = read_header(starter)
    assert choose_template(header) == (header.template, TemplateUsed(source=TemplateSource.FILE))


def test_the_starters_family_renders_as_its_own_template_does(starter: Path) -> None:
    own = read_header(starter).template
    source, used = choose_template(replace(read_header(starter), template=None))
    assert used == TemplateUsed(name="chatml", source=TemplateSource.FAMILY)
    assert own is not None
    assert ChatTemplate(source).render(CONVERSATION) == ChatTemplate(own).render(CONVERSATION)


def test_r1s_family_renders_as_r1s_template_and_opens_the_thinking(header: ModelHeader) -> None:
    source, used = choose_template(
        without_template(header, "<｜User｜>", "<｜Assistant｜>", "<think>", architecture="qwen2")
    )
    assert used == TemplateUsed(name="deepseek-r1", source=TemplateSource.FAMILY)
    published = ChatTemplate(R1_TEMPLATE.read_text("utf-8"))
    assert ChatTemplate(source).render(CONVERSATION) == published.render(CONVERSATION) + "<think>\n"


@pytest.mark.parametrize(
    ("markers", "fields", "expected"),
    [
        (["<|im_start|>"], {"end_text": "<|im_end|>"}, "chatml"),
        (["<|im_start|>"], {"end_text": "<|endoftext|>"}, "completion"),  # Qwen's base models
        (["<|start_header_id|>", "<|eot_id|>"], {"end_text": "<|eot_id|>"}, "llama3"),
        (["<|start_header_id|>", "<|eot_id|>"], {"end_text": "<|end_of_text|>"}, "completion"),
        (TURNS, GEMMA | {"end_text": "<end_of_turn>"}, "gemma"),
        (TURNS, GEMMA | {"end_text": "<eos>", "name": "Gemma 3 1b It"}, "gemma"),
        # The base model of 270 million is called so.
        (TURNS, GEMMA | {"end_text": "<eos>", "name": "Gemma 3 270m"}, "completion"),
        (TURNS, GEMMA | {"name": "Gemma 3 1b Pt"}, "completion"),
        (TURNS, {"architecture": "llama"}, "completion"),
        (["<｜User｜>", "<｜Assistant｜>"], {"architecture": "deepseek2"}, "deepseek3"),
        (["<|assistant|>", "<|end|>", "<|user|>"], {"architecture": "phi3"}, "phi3"),
        ([], {"architecture": "llama"}, "completion"),
        (["[INST]"], {"architecture": "llama"}, "completion"),  # base and chat models have it
    ],
)
def test_architecture_and_vocabulary_name_the_family(header, markers, fields, expected):
    used = choose_template(without_template(header, *markers, **fields))[1]
    assert used.name == expected
    family = expected != "completion"
    assert used.source is (TemplateSource.FAMILY if family else TemplateSource.COMPLETION)


@pytest.mark.parametrize("name", TEMPLATE_NAMES)
def test_every_template_of_the_list_has_the_conversation_in_order(header, name):
    source, used = choose_template(header, name)
    assert used == TemplateUsed(name=name, source=TemplateSource.CHOSEN)
    text = ChatTemplate(source).render(CONVERSATION, eos="</s>")
    places = [text.find(part) for part in ("Be brief.", "Hello", "Hi.", "Bye")]
    assert places == sorted(places)
    assert places[0] >= 0


def test_the_familys_template_can_be_chosen_in_place_of_the_files_own(starter: Path) -> None:
    broken = replace(read_header(starter), template="{% for %}")
    source, used = choose_template(broken, FAMILY)
    assert used == TemplateUsed(name="chatml", source=TemplateSource.CHOSEN)
    assert "<|im_start|>user\nBye" in ChatTemplate(source).render(CONVERSATION)
    assert FAMILY in template_names()


def test_a_base_models_text_is_continued(header: ModelHeader) -> None:
    source, _ = choose_template(header, "completion")
    assert ChatTemplate(source).render([user("Once upon a time")]) == "Once upon a time"


def test_a_source_is_used_as_it_is(header: ModelHeader) -> None:
    given = "{{ messages[0].content }}!"
    assert choose_template(header, given) == (given, TemplateUsed(source=TemplateSource.CHOSEN))


def test_an_unknown_name_is_refused_with_the_known_ones(header: ModelHeader) -> None:
    with pytest.raises(WrongUsage, match="chatml"):
        choose_template(header, "chatmll")


@pytest.mark.parametrize(
    "given", ['{"chat_template": "of a configuration"}', "Answer well. {{ bos_token }}"]
)
def test_a_chosen_source_without_a_place_for_the_question_is_refused(header, given):
    with pytest.raises(TemplateUnusable, match="leaves the question out"):
        open_template(header, given)
