"""Finds the engine's name for the pretokenizer that a tokenizer.json describes.

The name decides which tokens the model gets, so it is derived from the structure itself: the
regular expressions must be exactly the known ones. Nothing is guessed.
"""

from __future__ import annotations

from typing import Any, Final

from deepseek_r1.convert.errors import TokenizerUnknown
from deepseek_r1.convert.hf.strict_json import Json
from deepseek_r1.core.i18n import tr

_CONTRACTIONS: Final = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_WORD_PATTERN: Final = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_MARKS_AND_SPACE: Final = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_QWEN2: Final = rf"{_CONTRACTIONS}|{_WORD_PATTERN}|\p{{N}}|{_MARKS_AND_SPACE}"
_LLAMA3: Final = rf"{_CONTRACTIONS}|{_WORD_PATTERN}|\p{{N}}{{1,3}}|{_MARKS_AND_SPACE}"
_DEEPSEEK_V3: Final = (
    r"\p{N}{1,3}",
    "[一-龥\u3040-ゟ゠-ヿ]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|"""
    r"""[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"""
    r"""\s*[\r\n]+|\s+(?!\S)|\s+""",
)
# The second and third list all letters and marks of their alphabets; a prefix identifies them.
_DEEPSEEK_LLM: Final = (
    r"[\r\n]",
    r"\s?[A-Za-zµÀ-ÖØ-öø-ƺ",
    r"\s?[!-/:-~！-／：-～",
    r"\s+$",
    "[一-龥\u0800-一가-\ud7ff]+",
)
_BEGIN_OF_R1: Final = "<｜begin▁of▁sentence｜>"


def pretokeniser_name(tokenizer: Json, tokens: frozenset[str] | set[str]) -> str:
    """Returns the engine's name. Raises TokenizerUnknown, which shows the unknown structure."""
    steps = _steps(tokenizer.get("pre_tokenizer"))
    shapes = [_shape(step) for step in steps]
    name = _known(shapes, tokens)
    if name is None:
        shown = "; ".join(shapes)[:300] or "–"
        raise TokenizerUnknown(
            detail=tr("The engine has no pretokenizer like this one: {steps}", steps=shown)
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
    """Returns a step as a line: its type and all options that change its result."""
    kind = str(step.get("type"))
    if kind == "Split":
        pattern = step.get("pattern")
        regex = pattern.get("Regex") if isinstance(pattern, dict) else None
        plain = step.get("behavior") == "Isolated" and not step.get("invert")
        if not isinstance(regex, str) or not plain:
            return "Split?"
        # DeepSeek's files contain literal line breaks where others have escapes.
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
