"""A hundred answers as models write them: mathematics, code, Chinese, tables, odd nesting."""

# ruff: noqa: E501 - an answer is given as it is written

import random

from support.formula_corpus import FORMULAS

_PIECES: dict[str, list[str]] = {
    "maths": [
        "We solve \\( ax^2 + bx + c = 0 \\) with\n\n\\[\nx = \\frac{-b \\pm \\sqrt{b^2 - 4ac}}{2a}\n\\]",
        "The cases are \\[\n> 0 & \\text{two roots}\n\\] as a stray fragment.",
        "$$\n\\begin{aligned} 2x &= 8 \\\\ x &= 4 \\end{aligned}\n$$",
        "\\begin{align*}\na &= b + c \\\\\n&= d\n\\end{align*}",
        "Prices: $5 and $10, but $x_1 = 3$ and $y$ are formulas; \\$7 is not.",
        "**Final answer:** \\boxed{x = 2 \\text{ or } x = 3}",
        "Stray \\( open and \\] close, $ 5 and $$.",
        "Sum \\(\\sum_{i=1}^n i\\), matrix \\(\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}^2\\), \\(\\foo\\).",
    ],
    "code": [
        "```python\ndef f(x):\n    return x ** 2  # $not maths$\n```",
        "```\nplain\n\n  indented \\(x\\)\n```",
        "Use `$HOME` and `\\(x\\)` and ``a ` b``.",
        "~~~~md\n```inner\n~~~\n```\n~~~~",
        "    indented code\n    $x$\n",
        "```js\nconst a = `b ${c}`;\n```\nright after",
    ],
    "chinese": [
        "设 \\(x\\) 为未知数，则 $x^2=4$，所以 $x=\\pm2$。",
        "$$\n\\text{面积} = \\pi r^2\n$$\n\n其中 $r$ 是半径；价格从$5到$10。",
        "1. 第一步：化简\n2. 第二步：求解 \\(\\frac{a}{b}\\)\n3. **结论**：成立",
        "> 引用：“公式” \\(E=mc^2\\)\n> 第二行",
        "见 https://example.cn/路径。以及<https://example.org>。",
        "| 名称 | 值 |\n|:--|--:|\n| 圆周率 | \\(\\pi\\) |\n| 价格 | $5 |",
    ],
    "tables": [
        "| a | b | c |\n|:-:|---|--:|\n| \\(n^2\\) | **b** | `c` |\n| 1 | ~~2~~ | $5 |",
        "| one |\n|---|\n| very_long_identifier_without_any_space_in_it_that_does_not_fit_at_all_here |",
        "| "
        + " | ".join(f"column {n}" for n in range(14))
        + " |\n"
        + "|---" * 14
        + "|\n"
        + "| "
        + " | ".join(f"value{n}" for n in range(14))
        + " |",
        "text before\n| a | b |\n|---|---|\n| 1 | 2 |\ntext after",
        "a | b\n-|-\n1 | 2\n3",
    ],
    "nesting": [
        "- a\n  - b\n    1. c\n       > quote \\(x\\)\n       >\n       > - d\n  - [x] done\n- [ ] open",
        "> > deep\n> back\n\n- item\n\n  paragraph in it\n\n  ```py\n  x = 1\n  ```\n\n  $$y$$\n- next",
        "1) one\n2) two\n\n10. ten\n11. eleven",
        "* a\n\n\n* b\n+ c\n- d",
        "### Step 1: *solve* \\(x\\)\n---\nSetext\n===\n#### `code` head",
        "***bold italic*** **bo*ld** it*alic* _a_b_c_ ~~x~~ [link](https://example.com) ![p](x.png)",
        "Note[^1] and[^b].\n\n[^1]: The note, see https://example.com/a_b(c).\n[^b]: Other \\(y\\).",
        "- x\n\\[ y \\]\n- \\[\n  z\n  \\]",
        "Hard  \nbreak\\\nand soft\nbreak &amp; &copy; \\* \\_ <b>html</b>",
    ],
    "prose": [
        "The quick brown fox jumps over the lazy dog. " * 12,
        "First, let me think about it.\nThen write it down.\n\nDone.",
        "A line\n\n\n\nfar below, with trailing blanks   \n",
    ],
}


def answers() -> list[str]:
    """A hundred answers, the same each time."""
    chance = random.Random(11)
    found = ["\n\n".join(pieces) for pieces in _PIECES.values()]
    found += [piece for pieces in _PIECES.values() for piece in pieces]
    kinds = list(_PIECES)
    while len(found) < 100:
        pieces = [chance.choice(_PIECES[chance.choice(kinds)]) for _ in range(chance.randint(3, 7))]
        pieces.insert(1, f"So \\({chance.choice(FORMULAS)}\\) holds.")
        found.append(chance.choice(["\n\n", "\n"]).join(pieces))
    return found
