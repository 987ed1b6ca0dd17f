import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1desk.store.stored_text import TITLE_CHARACTERS, clean, one_line, title_from


def test_a_nul_stays_visible_and_a_lone_surrogate_becomes_a_replacement() -> None:
    assert clean("a\0b\ud83dc\ud83d\ude00") == "a\u2400b\ufffdc\U0001f600"


@given(st.text(st.characters(codec=None), max_size=200))
def test_cleaned_text_is_utf8_without_nuls_and_keeps_its_other_characters(text: str) -> None:
    cleaned = clean(text)
    assert "\0" not in cleaned
    cleaned.encode("utf-8")
    assert clean(cleaned) == cleaned
    if not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in text):
        assert cleaned == text


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Hello", "Hello"),
        ("\n\n  # A heading\nand more", "A heading"),
        ("- a list", "a list"),
        ("1. first", "first"),
        ("```\nprint(1)\n```", "print(1)"),
        ("   spaces \t between  ", "spaces between"),
        ("2024 was a year", "2024 was a year"),
        ("???", "???"),
        ("", ""),
        ("你好，世界", "你好，世界"),
        ("How do plants grow? I would like to know.", "How do plants grow?"),
        ("Hello. How do plants grow? Tell me.", "Hello. How do plants grow?"),
        ("Compute 3.5 times 4.25 for me. Then stop.", "Compute 3.5 times 4.25 for me"),
        ("Use e.g. numpy for it.", "Use e.g. numpy for it"),
        ("Go on...", "Go on..."),
        ("请解释什么是量子纠缠。然后举一个例子。", "请解释什么是量子纠缠"),
        ("你好！请问什么是质数？谢谢。", "你好！请问什么是质数？"),
        (".", "."),
        ("My code:\n\nx = 1", "My code"),
        ("这是我的代码：", "这是我的代码"),
        ("Explain **rivers**, `lakes` and ~~seas~~.", "Explain rivers, lakes and seas"),
        ("## **What** does `__init__` do?", "What does __init__ do?"),
        ("Is 2**3 more than 4 ** 2?", "Is 2**3 more than 4 ** 2?"),
        (
            "Please explain to me how the attention mechanism of transformers works",
            "Please explain to me how the attention mechanism of…",
        ),
        ("请" * 100, "请" * (TITLE_CHARACTERS - 1) + "…"),
    ],
)
def test_the_title_is_the_first_sentence(text: str, title: str) -> None:
    assert title_from(text) == title


@given(st.text(st.characters(codec=None), max_size=300))
def test_a_title_is_one_short_printable_line(text: str) -> None:
    title = title_from(text)
    assert len(title) <= TITLE_CHARACTERS
    assert title == title.strip()
    assert len(title.splitlines()) <= 1


def test_one_line_collapses_white_space() -> None:
    assert one_line("a\n\n b\tc") == "a b c"
    assert len(one_line("x" * 1000)) == 160
