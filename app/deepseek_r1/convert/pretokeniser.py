"""Which way of cutting text into words a tokenizer.json describes, in the engine's name for it.

The name decides what the model sees, so it is found from the structure itself: the regular
expressions must be exactly the known ones. Nothing is guessed and nothing is looked up elsewhere.
"""

from __future__ import annotations

from typing import Any, Final

from deepseek_r1.convert.errors import TokenizerUnknown
from deepseek_r1.convert.strict_json import Json
from deepseek_r1.core.words import tr

_CONTRACTIONS: Final = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORDS: Final = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_MARKS_AND_SPACE: Final = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_QWEN2: Final = rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}|{_MARKS_AND_SPACE}"
_LLAMA3: Final = rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}{{1,3}}|{_MARKS_AND_SPACE}"
_DEEPSEEK_V3: Final = (
    r"\p{N}{1,3}",
    "[一-龥\u3040-ゟ゠-ヿ]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|"""
    r"""[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"""
    r"""\s*[\r\n]+|\s+(?!\S)|\s+""",
)
# The second and third list every letter and mark of their alphabets; their beginnings suffice.
_DEEPSEEK_LLM: Final = (
    r"[\r\n]",
    r"\s?[A-Za-zµÀ-ÖØ-öø-ƺ",
    r"\s?[!-/:-~！-／：-～",
    r"\s+$",
    "[一-龥\u0800-一가-\ud7ff]+",
)
_BEGIN_OF_R1: Final = "<｜begin▁of▁sentence｜>"


def pretokeniser_name(tokenizer: Json, tokens: frozenset[str] | set[str]) -> str:
    """The engine's name. Raises TokenizerUnknown, which shows the structure that was found."""
    steps = _steps(tokenizer.get("pre_tokenizer"))
    shapes = [_shape(step) for step in steps]
    name = _known(shapes, tokens)
    if name is None:
        shown = "; ".join(shapes)[:300] or "–"
        raise TokenizerUnknown(
            detail=tr(
                "The engine knows no way of cutting words like this one: {steps}", steps=shown
            )
        )
    return name


def _steps(node: Any) -> list[Json]:
    if not isinstance(node, dict):
        return []
    if node.get("type") == "Sequence":
        inner = node.get("pretokenizers")
        return [each for each in inner if isinstance(each, dict)] if isinstance(inner, list) else []
    return [node]


def _shape(step: Json) -> str:
    """One step as a line: its kind with everything that changes what it does."""
    kind = str(step.get("type"))
    if kind == "Split":
        pattern = step.get("pattern")
        regex = pattern.get("Regex") if isinstance(pattern, dict) else None
        plain = step.get("behavior") == "Isolated" and not step.get("invert")
        if not isinstance(regex, str) or not plain:
            return "Split?"
        # DeepSeek's files have line ends themselves where others write escapes for them.
        return f"Split {regex}".replace("\r", r"\r").replace("\n", r"\n")
    if kind == "ByteLevel":
        if step.get("add_prefix_space"):
            return "ByteLevel, space before"
        return "ByteLevel, own words" if step.get("use_regex", True) else "ByteLevel"
    if kind == "Digits":
        return "Digits" if step.get("individual_digits") else "Digits together"
    return kind


def _known(shapes: list[str], tokens: frozenset[str] | set[str]) -> str | None:
    if shapes == [f"Split {_QWEN2}", "ByteLevel"]:
        return "deepseek-r1-qwen" if _BEGIN_OF_R1 in tokens else "qwen2"
    if shapes == [f"Split {_LLAMA3}", "ByteLevel"]:
        return "llama-bpe"
    if shapes == [*(f"Split {each}" for each in _DEEPSEEK_V3), "ByteLevel"]:
        return "deepseek-v3"
    if shapes[5:] == ["Digits", "ByteLevel"] and all(
        shape.startswith(f"Split {start}")
        for shape, start in zip(shapes, _DEEPSEEK_LLM, strict=False)
    ):
        return "deepseek-llm"
    if shapes == ["Digits", "ByteLevel, own words"]:
        return "smollm"
    return "gpt-2" if shapes == ["ByteLevel, own words"] else None
