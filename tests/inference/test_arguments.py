"""The caller's arguments become settings and messages, or are refused by name."""

from typing import Any

import pytest

from deepseek_r1.core.errors import WrongUsage
from deepseek_r1.core.messages import Message, Role
from deepseek_r1.core.settings import LoadSettings, SamplingSettings
from deepseek_r1.inference.prompt_calls import (
    as_messages,
    is_list_of_prompts,
    sampling_for,
    with_options,
)


def test_options_that_are_none_leave_the_settings_alone() -> None:
    settings = LoadSettings(memory_budget=512)
    assert with_options(settings, memory_budget=None, threads=None) is settings
    assert with_options(settings, threads=3) == LoadSettings(memory_budget=512, threads=3)


def test_a_value_out_of_range_is_refused_with_its_name() -> None:
    with pytest.raises(WrongUsage, match="memory_budget"):
        with_options(LoadSettings(), memory_budget=1)
    with pytest.raises(WrongUsage, match="max_tokens"):
        sampling_for(None, 0)


def test_max_tokens_overrides_the_sampling() -> None:
    sampling = SamplingSettings(temperature=0.0, max_tokens=7)
    assert sampling_for(sampling, None) is sampling
    assert sampling_for(sampling, 9) == SamplingSettings(temperature=0.0, max_tokens=9)


def test_a_text_is_one_message_of_the_user() -> None:
    assert as_messages("Hello") == [Message(role=Role.USER, content="Hello")]


def test_an_empty_conversation_and_a_mixed_one_are_refused() -> None:
    with pytest.raises(WrongUsage, match="no message"):
        as_messages([])
    with pytest.raises(WrongUsage, match="either texts or messages"):
        as_messages([Message(role=Role.USER, content="a"), "b"])


def test_dicts_are_messages_as_clients_of_openai_write_them() -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    given = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": parts, "name": "ann"},
        {"role": "assistant", "content": None},
    ]
    assert as_messages(given) == [
        Message(role=Role.SYSTEM, content="Be brief."),
        Message(role=Role.USER, content="Hello"),
        Message(role=Role.ASSISTANT, content=""),
    ]


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        (5, "not of the type int"),
        ([{"role": "wizard", "content": "a"}], "wizard"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "image_url"),
        ([{"role": "user", "content": 5}], "a text or a list"),
    ],
)
def test_what_is_no_prompt_is_refused_with_its_reason(prompt: Any, reason: str) -> None:
    with pytest.raises(WrongUsage, match=reason):
        as_messages(prompt)


def test_single_options_override_the_sampling() -> None:
    sampling = SamplingSettings(temperature=0.5, top_k=7)
    chosen = sampling_for(sampling, None, {"temperature": 0.0, "stop": "###"})
    assert (chosen.temperature, chosen.top_k, chosen.stop) == (0.0, 7, ("###",))
    with pytest.raises(WrongUsage, match="temperature"):
        sampling_for(None, None, {"temperature": 9.0})


def test_a_list_of_texts_is_several_prompts_and_a_list_of_messages_is_one() -> None:
    assert is_list_of_prompts(["a", "b"])
    assert is_list_of_prompts([[{"role": "user", "content": "a"}]])
    assert is_list_of_prompts([])
    assert not is_list_of_prompts([{"role": "user", "content": "a"}])
    assert not is_list_of_prompts("a")
    assert not is_list_of_prompts(5)
