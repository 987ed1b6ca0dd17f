"""A text that only repeats itself is found; ordinary text that repeats a lot is not."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.engine.output.repetition import LINE_TIMES, NGRAM_TOKENS, RepetitionDetector
from support.answer_corpus import answers

NOISE = random.Random(11)


def end_of(tokens: list[int], text: bytes = b"") -> int | None:
    """How many tokens were there when a repetition was found; None where it was not."""
    detector = RepetitionDetector()
    for count, token in enumerate(tokens, 1):
        if detector.observe([token], text):
            return count
    return None


def lines_end(text: str) -> int | None:
    """Which line was found to be a repetition, counted from 1."""
    detector = RepetitionDetector()
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if detector.observe([], line.encode()):
            return number
    return None


@pytest.mark.parametrize("period", [1, 2, 7, 63, 64, 65, 100, 500, 1000])
def test_a_loop_is_found_whatever_its_length(period: int) -> None:
    before = [NOISE.randrange(50_000) for _ in range(50)]
    loop = [NOISE.randrange(50_000) for _ in range(period)]
    found = end_of(before + loop * (4000 // period))
    rounds = -(-NGRAM_TOKENS // period)  # of the loop from 64 tokens to the same 64 again
    assert found == len(before) + NGRAM_TOKENS + 2 * rounds * period


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 90)), min_size=1, max_size=12),
    st.integers(3, 60),
)
def test_only_the_last_of_the_next_tokens_can_be_a_repetition(parts, block_tokens):
    """Texts of noise (0) and of two blocks that come again and again, each with its length."""
    noise = random.Random(7)
    blocks = [[noise.randrange(9_000) for _ in range(block_tokens)] for _ in range(2)]
    tokens: list[int] = []
    for kind, length in parts:
        block = [noise.randrange(9_000) for _ in range(length)] if kind == 0 else blocks[kind - 1]
        tokens += (block * length)[:length]
    lines = [b"%d and so on, and so on\n" % (token % 2) for token in tokens]
    detector, done = RepetitionDetector(), 0
    while done < len(tokens):
        end = min(done + detector.next_tokens, len(tokens))
        assert end > done
        assert not detector.observe(tokens[done : end - 1], b"".join(lines[done : end - 1]))
        if detector.observe(tokens[end - 1 : end], lines[end - 1]):
            break
        done = end


def test_64_tokens_for_the_second_time_are_no_loop() -> None:
    block = [NOISE.randrange(50_000) for _ in range(NGRAM_TOKENS)]
    others = [[NOISE.randrange(50_000) for _ in range(30)] for _ in range(3)]
    assert end_of(block + others[0] + block) is None
    assert end_of(block + others[0] + block + others[1] + block) == 3 * NGRAM_TOKENS + 60


def test_a_paragraph_of_a_long_text_may_come_a_third_time() -> None:
    block = [NOISE.randrange(50_000) for _ in range(NGRAM_TOKENS)]
    others = [[NOISE.randrange(50_000) for _ in range(length)] for length in (900, 700)]
    assert end_of(block + others[0] + block + others[1] + block) is None


def test_noise_is_no_loop() -> None:
    assert end_of([NOISE.randrange(1000) for _ in range(20_000)]) is None


@pytest.mark.parametrize("line", ["I cannot do that, sorry.", "对不起，我不能这样做。"])
def test_the_same_line_ten_times_in_a_row_is_a_loop(line: str) -> None:
    assert lines_end(f"{line}\n" * 30) == LINE_TIMES
    assert lines_end(f"{line}\n\n" * 30) == 2 * LINE_TIMES - 1
    assert lines_end(f"{line}\nsomething else\n" * 30) is None


def test_brackets_and_numbers_may_be_repeated() -> None:
    assert lines_end("    }\n" * 12) is None
    assert lines_end("0, 0, 0,\n" * 12) is None


def test_a_line_is_found_in_whatever_pieces_it_comes() -> None:
    text = ("That is the answer.\n" * LINE_TIMES).encode()
    for size in (1, 2, 3, 7, len(text)):
        detector = RepetitionDetector()
        found = [detector.observe([], text[at : at + size]) for at in range(0, len(text), size)]
        assert found == [False] * (len(found) - 1) + [True], size


ROOT = Path(__file__).parents[2]
FILES = 100


def texts() -> Iterator[tuple[str, str]]:
    """A hundred answers, every document, and code of this tree: Python, C++, TOML."""
    for number, answer in enumerate(answers()):
        yield f"answer {number}", answer
    documents = [
        ROOT / "README.md",
        ROOT / "README.zh-CN.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    ]
    native = sorted((ROOT / "app" / "deepseek_r1" / "native").glob("*.[ch]pp"))
    code = sorted((ROOT / "app").rglob("*.py"), key=lambda file: -file.stat().st_size)
    for file in [*documents, *native, ROOT / "pyproject.toml", *code[:FILES]]:
        yield str(file.relative_to(ROOT)), file.read_text("utf-8")
    yield "multiplication table", table(10)
    yield "table of zeros", "| a | b | c |\n| --- | --- | --- |\n" + "| 0 | 0 | 0 |\n" * 8
    yield "json", "[\n" + '  {"id": 0, "tags": []},\n' * 5 + "]\n"
    yield "a poem with a refrain", "Row, row, row your boat,\nGently down the stream.\n\n" * 4


def table(size: int) -> str:
    numbers = range(1, size + 1)
    return "".join("| " + " | ".join(str(a * b) for b in numbers) + " |\n" for a in numbers)


def repeats(starter_weights: LlamaModel, text: str) -> str:
    """The text up to a repetition that was found; empty without one."""
    detector, so_far = RepetitionDetector(), b""
    for token in starter_weights.tokenize(text, special=False):
        piece = starter_weights.piece(token)
        so_far += piece
        if detector.observe([token], piece):
            return so_far[-300:].decode("utf-8", "replace")
    return ""


@pytest.mark.integration
@pytest.mark.slow
def test_ordinary_texts_are_no_repetition(starter_weights: LlamaModel) -> None:
    corpus = dict(texts())
    assert len(corpus) >= 200
    assert {
        name: found for name, text in corpus.items() if (found := repeats(starter_weights, text))
    } == {}
