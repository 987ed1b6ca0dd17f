"""Where formulas begin and end in text, that no text is lost there, and lines without them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it.token import Token

from r1desk.chat.formulas.markdown_math import formula_at
from r1desk.chat.messages.thinking import readable
from r1desk.chat.text.markdown_blocks import groups_of, inlined


def tokens(text: str, *, open_end: bool = False) -> list[Token]:
    found: list[Token] = []
    for group in groups_of(text, open_end=open_end):
        for token in inlined(group, open_end=open_end):
            found.extend(token.children or [] if token.type == "inline" else [token])
    return found


def formulas(text: str) -> list[str]:
    return [t.markup + t.content + t.info for t in tokens(text) if t.type.startswith("math_")]


@pytest.mark.parametrize(
    "formula",
    [
        r"\( ax^2 + bx + c = 0 \)",
        r"\[ x_1 = \frac{5 \pm 1}{2} \]",
        "$$\nx * y * z\n$$",
        "$x_1$",
        "$2x + 1 = 5$",
        r"$\$5$",
        "\\begin{aligned}\na &= b \\\\\n&= c\n\\end{aligned}",
        "\\begin{pmatrix} \\begin{pmatrix} 1 \\end{pmatrix} \\end{pmatrix}",
        r"\boxed{x = \frac{1}{2}}",
        "\\[\n> 0 & \\text{quote?} \\\\\n- 1\n# 2\n\\]",
        "\\[\n\nx\n\n\\]",
    ],
)
def test_a_formula_is_one_opaque_piece(formula: str) -> None:
    assert formulas(formula) == [formula]


@pytest.mark.parametrize("formula", [r"\(a\)", r"\[a\]", "$$a$$", "$a$", r"\boxed{a}"])
@pytest.mark.parametrize(
    "around", ["so {} and", "**{}**", "- {}\n", "> {}\n", "# {}", "中文{}，好"]
)
def test_a_formula_is_found_among_text(formula: str, around: str) -> None:
    assert formulas(around.format(formula)) == [formula]


@pytest.mark.parametrize(
    "text",
    [
        "costs $5 and $10",
        "from $5 to $10 or 20$",
        "between $100-$200",
        "5 apples for $3, 4 for $2.50",
        "$5 for bread and 4$ for milk",
        "US$5 or A$6$",
        "价格从$5到$10",
        "echo $HOME/$USER",
        "the variables $a, $b and $c",
        r"escaped \$x\$ dollars",
        "$ x $",
        "$$",
        r"\(\)",
        r"\begin{itemize} a \end{itemize}",
        "`$x$` and `\\(y\\)`",
        "```\n$x$ \\[ y \\]\n```",
    ],
)
def test_what_is_no_formula_is_left_alone(text: str) -> None:
    assert formulas(text) == []


def test_while_the_text_may_grow_an_unfinished_formula_is_one_piece() -> None:
    found = tokens(r"an open \( x_1 *for* _mula_", open_end=True)
    assert [(t.type, t.content) for t in found if t.type == "math_open"] == [
        ("math_open", r"\( x_1 *for* _mula_")
    ]


def test_an_amount_of_money_at_the_end_is_no_unfinished_formula() -> None:
    assert not [t for t in tokens("it costs $5", open_end=True) if t.type == "math_open"]


_PIECES = st.sampled_from(
    ["\\(", "\\)", "\\[", "\\]", "$", "$$", "\\begin{matrix}", "\\end{matrix}", "\\boxed{", "}",
     "x", " ", "\\", "5", "\n", "\n\n", "中", "a_b", "{", "&"]
)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(_PIECES, max_size=30).map("".join))
def test_no_text_is_lost(text: str) -> None:
    """Whatever delimiters come in whatever order, all that is not blank is drawn."""
    shown = "".join(
        t.markup + t.content + t.info if t.type.startswith("math_") else t.content
        for t in tokens(text)
    )

    def visible(source: str) -> str:
        # Markdown itself takes a backslash before punctuation and at the end of a line.
        return "".join(c for c in source if not c.isspace() and c not in "\\")

    assert visible(shown) == visible(text)


@settings(max_examples=300)
@given(st.lists(_PIECES, max_size=30).map("".join), st.integers(0, 40))
def test_a_formula_is_exactly_what_stands_in_the_text(text: str, start: int) -> None:
    span = formula_at(text, start)
    if span is not None:
        assert text[start : start + span.length] == span.text


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (r"so \(5^2 \times \frac{1}{2}\) is", "so 5² × 1/2 is"),
        (r"then \(x^{10} \le \alpha", "then x¹⁰ ≤ α"),  # its end has not come
        (r"$x = \dfrac{-b \pm \sqrt{b^{2} - c}}{2a}$ or $y$", "x = (-b ± √(b² - c))/(2a) or y"),
        (r"costs $5, then $$\frac{\pi}{4}$$ and $x_1 = \sqrt{2", "costs $5, then π/4 and x_1 = √2"),
        (r"\left(\text{area}\right) = \boxed{42}", "(area) = 42"),
        (r"**$5** in C:\temp, $6 left", r"$5 in C:\temp, $6 left"),
    ],
)
def test_a_line_of_plain_text_has_formulas_that_can_be_read(line: str, shown: str) -> None:
    assert readable(line) == shown
