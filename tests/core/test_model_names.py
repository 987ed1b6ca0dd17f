"""Names of models as people use them."""

import pytest

from deepseek_r1.core.model_names import MOST_CHARACTERS, short_name, short_names, with_size


@pytest.mark.parametrize(
    ("stated", "short"),
    [
        ("DeepSeek R1 Distill Qwen 7B", "R1 7B"),
        ("DeepSeek-R1-0528-Qwen3-8B-Q4_K_M", "R1 8B"),
        ("Qwen2.5 Coder 0.5B Instruct AWQ", "Qwen2.5 Coder 0.5B"),
        ("SmolLM2-135M-Instruct.Q4_1", "SmolLM2 135M"),
        ("Qwen3-30B-A3B-Thinking-2507", "Qwen3 30B"),
        ("meta-llama/Llama-3.1-8B-Instruct", "Llama-3.1 8B"),
        ("Mixtral-8x7B-v0.1", "Mixtral 8x7B"),
        ("deepseek-r1:7b", "R1 7B"),
        ("Ling-3.0-tiny-Q4_K_M", "Ling-3.0-tiny"),
        ("gpt-4o", "gpt-4o"),
        ("7B", "7B"),
        ("", ""),
    ],
)
def test_a_model_is_called_by_its_family_and_size(stated, short):
    assert short_name(stated) == short


def test_a_name_from_outside_is_short_and_printable():
    name = short_name("\x1b[31m\u202e" + "evil " * 1000)
    assert len(name) <= MOST_CHARACTERS
    assert name.isprintable()


def test_two_files_with_one_short_name_are_told_apart_by_as_little_as_needed():
    files = [
        ("DeepSeek R1 Distill Qwen 7B Q4_K_M", "a"),
        ("DeepSeek R1 Distill Qwen 7B Q8_0", "b"),
        ("SmolLM2-135M-Instruct Q4_1", "c"),
        ("Tiny 1B Q4_0", "one"),
        ("Tiny 1B Q4_0", "two"),
    ]
    assert short_names(files) == ["R1 7B Q4_K_M", "R1 7B Q8_0", "SmolLM2 135M", "one", "two"]
    assert short_names([("R1 7B",), ("R1 7B",)]) == ["R1 7B", "R1 7B"]  # one model, asked twice


def test_the_size_that_a_file_states_is_added_where_its_name_has_none():
    assert with_size("Coder Instruct", "1.5B") == "Coder Instruct 1.5B"
    assert with_size("Coder 1.5B", "7B") == "Coder 1.5B"
    assert with_size("Coder", "<b>big</b>") == "Coder"
    assert with_size("Coder", None) == "Coder"
