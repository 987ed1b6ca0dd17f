"""The splitter: final blocks stay final, in whatever pieces the text comes."""

import pytest
from hostile_texts import EACH, TEXTS
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.shown_messages import ANSWER
from r1desk.chat.text.block_splitter import MAX_CODE_LINES, BlockSplitter, MarkdownBlock


def blocks(text: str, size: int) -> list[MarkdownBlock]:
    splitter = BlockSplitter()
    found = []
    for at in range(0, len(text), size):
        found.extend(splitter.feed(text[at : at + size]))
        splitter.tail()
    return found + splitter.finish()


def outline(found: list[MarkdownBlock]) -> list[object]:
    return [
        (b.code, b.language, b.continued) if b.is_code else [(t.type, t.content) for t in b.tokens]
        for b in found
    ]


@pytest.mark.parametrize("size", [1, 3, 64])
def test_any_pieces_give_the_same_blocks(size: int) -> None:
    assert outline(blocks(ANSWER * 2, size)) == outline(blocks(ANSWER * 2, 100_000))


@pytest.mark.parametrize("name", EACH)
def test_hostile_texts_in_pieces_give_the_same_blocks(name: str) -> None:
    text = TEXTS[name][:20_000]  # the longer texts only go on with the same
    assert outline(blocks(text, 777)) == outline(blocks(text, 100_000))


@pytest.mark.parametrize("text", [
    "A\n#B", "A\n***bold***", "A\n---", "a | b\n--|--\n1 | 2", "- a\n\n  b\n- c",
    "```x\na\n``\n```",
])  # fmt: skip
def test_a_line_is_judged_only_when_it_is_whole(text: str) -> None:
    assert outline(blocks(text, 1)) == outline(blocks(text, 100))


def test_code_is_given_as_it_was_written() -> None:
    code = "\n".join(f"    line {n}  " for n in range(2 * MAX_CODE_LINES + 5))
    found = blocks(f"```py\n{code}\n```\nafter", 500)
    parts = [b for b in found if b.is_code]
    assert [b.continued for b in parts] == [False, True, True]
    assert "\n".join(b.code for b in parts) == code


def test_a_fence_closes_only_with_its_own_kind() -> None:
    found = blocks("````md\n```\n~~~~\n````\n\nafter", 4)
    assert found[0].code == "```\n~~~~"
    assert not found[1].is_code


def test_a_long_list_goes_on_with_its_numbers() -> None:
    found = blocks("".join(f"{n}. item\n" for n in range(1, 500)), 100)
    starts = [
        t.attrGet("start") or 1 for b in found for t in b.tokens if t.type.endswith("list_open")
    ]
    items = sum(t.type == "list_item_open" for b in found for t in b.tokens)
    assert items == 499
    assert len(starts) > 1
    assert starts == sorted(starts)


def test_a_long_table_repeats_its_head() -> None:
    found = blocks("| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 400, 100)
    tables = [b for b in found if b.tokens and b.tokens[0].type == "table_open"]
    assert len(tables) > 1
    assert sum(t.type == "td_open" for b in found for t in b.tokens) == 800


_PIECES = st.sampled_from(
    ["\\(", "\\)", "\\[", "\\]", "$", "$$", "\\begin{matrix}", "\\end{matrix}", "\\boxed{", "}",
     "x", " ", "\\", "5", "\n", "\n\n", "> ", "- ", "1. ", "| a |", "\n|--|\n",
     "```\n", "    ", "中", "{", "&", "https://a.b"]
)  # fmt: skip


@settings(max_examples=200)
@given(st.lists(_PIECES, max_size=25).map("".join), st.integers(1, 9))
def test_formulas_in_pieces_give_the_same_blocks(text: str, size: int) -> None:
    assert outline(blocks(text, size)) == outline(blocks(text, 100_000))


def test_a_paragraph_of_thousands_of_characters_is_one_block() -> None:
    found = blocks("The quick brown fox jumps. " * 280, 50)
    assert len(found) == 1


def test_a_paragraph_that_is_too_long_is_cut_between_words() -> None:
    found = blocks("The quick brown fox jumps. " * 1_000, 50)
    texts = [t.content for b in found for t in b.tokens if t.type == "inline"]
    assert len(texts) > 1
    assert " ".join(texts).split() == ["The", "quick", "brown", "fox", "jumps."] * 1_000
    assert [b.is_continued_text for b in found] == [False] + [True] * (len(found) - 1)
