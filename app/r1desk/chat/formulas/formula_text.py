"""LaTeX within a line of plain text, as readable as signs allow where nothing can be typeset."""

import re
import unicodedata
from typing import Final

_SIGNS: Final = {
    "times": "×", "cdot": "·", "div": "÷", "pm": "±", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥",
    "ne": "≠", "neq": "≠", "approx": "≈", "equiv": "≡", "infty": "∞", "sqrt": "√", "sum": "∑",
    "prod": "∏", "int": "∫", "to": "→", "rightarrow": "→", "Rightarrow": "⇒", "implies": "⇒",
    "in": "∈", "cup": "∪", "cap": "∩", "subset": "⊂", "partial": "∂", "nabla": "∇", "angle": "∠",
    "circ": "°", "ldots": "…", "cdots": "…", "dots": "…", "quad": " ", "left": "", "right": "",
}  # fmt: skip
_POWERS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def _sign(command: re.Match[str]) -> str:
    name = command[1]
    if name in _SIGNS:
        return _SIGNS[name]
    size = "CAPITAL" if name[0].isupper() else "SMALL"
    try:
        return unicodedata.lookup(f"GREEK {size} LETTER {name}")
    except KeyError:
        return command[0]


def _power(found: re.Match[str]) -> str:
    return (found[1] or found[2]).translate(_POWERS)


_STEPS: Final = (
    (re.compile(r"\$\$|\*\*|\\[()\[\]]|\\(?:text|mathrm|mathbf|boxed|operatorname) *(?=\{)"), ""),
    (re.compile(r"\$(?! )(?=[^$\\^_=]*[\\^_=]|\w\$)([^$]+)(?<! )\$"), r"\1"),
    (re.compile(r"\$(?=[^$ \d][^$\\^_=]*[\\^_=][^$]*\Z)"), ""),  # its end has not come
    (re.compile(r"\^(?:([0-9])|\{([0-9]+)\})"), _power),
    (re.compile(r"\\([A-Za-z]+)"), _sign),
    (re.compile(r"√ *\{(\w*[^\w{}][^{}]*)\}"), r"√(\1)"),
    (re.compile(r"√ *\{(\w*)\}"), r"√\1"),
    (re.compile(r"\\[dt]?frac *\{(√?\w+)\} *\{(√?\w+)\}"), r"\1/\2"),
    (re.compile(r"\\[dt]?frac *\{([^{}]*)\} *\{([^{}]*)\}"), r"(\1)/(\2)"),
    (re.compile(r"\\[,;:! ]|\\\\|&"), " "),
    (re.compile(r"[{}]"), ""),
)


def readable(line: str) -> str:
    r"""`line` without delimiters and commands: `\(5^2 \times \frac{1}{2}\)` is "5² × 1/2"."""
    if not any(sign in line for sign in ("\\", "$", "**")):
        return line
    for pattern, by in _STEPS:
        line = pattern.sub(by, line)
    return line
