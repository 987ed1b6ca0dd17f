"""Converts a tokenizer.json to GGUF keys: tokens, types, merges, special tokens, chat template.

The name of the pretokenizer decides which tokens the model gets. So it is derived from the
structure itself: the regular expressions must be exactly the known ones. Nothing is guessed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deepseek_r1.convert.errors import SourceDamaged, TokenizerUnknown
from deepseek_r1.convert.hf.config import Json
from deepseek_r1.convert.model_source import KeyValue, i32s, scalar, texts
from deepseek_r1.core.i18n import tr
from deepseek_r1.formats.container import MAX_TOKENS

MAX_MERGES: Final = 2_000_000
_NORMAL, _CONTROL, _USER_DEFINED, _UNUSED = 1, 3, 4, 5  # of `llama_token_type`
_SPECIAL: Final = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    """The parsed files of a tokenizer; missing ones are empty."""

    path: Path  # of tokenizer.json, for messages
    tokenizer: Json
    tokenizer_config: Json
    generation_config: Json
    config: Json
    template: str | None  # from a separate file


def vocabulary_keys(files: TokenizerFiles, rows: int) -> tuple[list[KeyValue], list[str]]:
    """Returns the keys of a vocabulary with `rows` embedding rows, and remarks for the user.

    Raises TokenizerUnknown for everything but byte-level BPE with a known pretokenizer.
    """
    tokens, types, remarks = _tokens(files, rows)
    keys = [
        scalar("tokenizer.ggml.model", "gpt2"),
        scalar("tokenizer.ggml.pre", _pretokenizer(files.tokenizer, set(tokens))),
        texts("tokenizer.ggml.tokens", tokens),
        i32s("tokenizer.ggml.token_type", types),
        texts("tokenizer.ggml.merges", _merges(files)),
        *_special_keys(files, tokens),
        *_template_keys(files),
    ]
    return keys, remarks


def _tokens(files: TokenizerFiles, rows: int) -> tuple[list[str], list[int], list[str]]:
    model = files.tokenizer.get("model")
    if not isinstance(model, dict) or model.get("type", "BPE") != "BPE":
        kind = str(model.get("type"))[:40] if isinstance(model, dict) else "–"
        raise TokenizerUnknown(
            detail=tr("It is of the type {kind}, not byte-level BPE.", kind=kind)
        )
    if model.get("byte_fallback") or model.get("continuing_subword_prefix"):
        raise TokenizerUnknown(detail=tr("It is BPE, but not of bytes."))
    vocabulary = model.get("vocab")
    if not isinstance(vocabulary, dict) or not rows <= MAX_TOKENS:
        raise _damaged(files, tr("it has no vocabulary"))
    tokens: list[str | None] = [None] * rows
    types = [_UNUSED] * rows
    for token, number in vocabulary.items():
        _place(files, tokens, number, token)
        types[number] = _NORMAL
    remarks = []
    for added in _added(files):
        number, content = added["id"], added["content"]
        _place(files, tokens, number, content)
        types[number] = _CONTROL if added.get("special") else _USER_DEFINED
        if added.get("lstrip") or added.get("rstrip") or added.get("single_word"):
            remarks.append(
                tr(
                    "The engine ignores how the token {token} treats the spaces around it.",
                    token=content[:40],
                )
            )
    return [each or f"[PAD{n}]" for n, each in enumerate(tokens)], types, remarks


def _place(files: TokenizerFiles, tokens: list[str | None], number: object, token: object) -> None:
    if type(number) is not int or not isinstance(token, str) or not token:
        raise _damaged(files, tr("a token has no valid number"))
    if not 0 <= number < len(tokens):
        raise _damaged(
            files, tr("token {n} has no row in the embedding of {rows}", n=number, rows=len(tokens))
        )
    if tokens[number] not in (None, token):
        raise _damaged(files, tr("two tokens have the number {n}", n=number))
    tokens[number] = token


def _added(files: TokenizerFiles) -> Iterator[Json]:
    added = files.tokenizer.get("added_tokens") or []
    if not isinstance(added, list) or len(added) > MAX_TOKENS:
        raise _damaged(files, tr("its added tokens are not a list"))
    for each in added:
        if not isinstance(each, dict) or "id" not in each or "content" not in each:
            raise _damaged(files, tr("a token has no valid number"))
        yield each


def _merges(files: TokenizerFiles) -> list[str]:
    """Returns each merge as two tokens with a space between; newer files have pairs."""
    merges = files.tokenizer["model"].get("merges")
    if not isinstance(merges, list) or len(merges) > MAX_MERGES:
        raise _damaged(files, tr("it has no list of merges"))
    texts_of = [" ".join(each) if _is_pair(each) else each for each in merges]
    if not all(isinstance(each, str) and each.count(" ") == 1 for each in texts_of):
        raise _damaged(files, tr("a merge is not two tokens"))
    return texts_of


def _is_pair(merge: object) -> bool:
    return (
        isinstance(merge, list) and len(merge) == 2 and all(isinstance(part, str) for part in merge)
    )


def _special_keys(files: TokenizerFiles, tokens: list[str]) -> Iterator[KeyValue]:
    numbers = {token: number for number, token in enumerate(tokens)}
    found: dict[str, int] = {}
    for theirs, ours in _SPECIAL.items():
        number = _special(files, theirs, numbers)
        if number is not None:
            found[theirs] = number
            yield scalar(f"tokenizer.ggml.{ours}_token_id", number)
    before, after = _added_around(files)
    yield scalar("tokenizer.ggml.add_bos_token", before and "bos" in found)
    yield scalar("tokenizer.ggml.add_eos_token", after and "eos" in found)
    yield scalar("tokenizer.ggml.add_space_prefix", False)


def _special(files: TokenizerFiles, name: str, numbers: dict[str, int]) -> int | None:
    """Returns a special token's number by its text, else as another file states it."""
    token = files.tokenizer_config.get(f"{name}_token")
    content = token.get("content") if isinstance(token, dict) else token
    if isinstance(content, str) and content in numbers:
        return numbers[content]
    for config in (files.generation_config, files.config):
        number = config.get(f"{name}_token_id")
        first = number[0] if isinstance(number, list) and number else number
        if type(first) is int and 0 <= first < len(numbers):
            return first
    return None


def _added_around(files: TokenizerFiles) -> tuple[bool, bool]:
    """Returns whether BOS and EOS are added: as configured, else by the post-processor."""
    begin, end = (files.tokenizer_config.get(f"add_{name}_token") for name in ("bos", "eos"))
    single = _single_template(files.tokenizer.get("post_processor"))
    at = next((n for n, each in enumerate(single) if "Sequence" in each), None)
    before = at is not None and any("SpecialToken" in each for each in single[:at])
    after = at is not None and any("SpecialToken" in each for each in single[at + 1 :])
    return (begin if isinstance(begin, bool) else before, end if isinstance(end, bool) else after)


def _single_template(node: Any) -> list[Json]:
    if not isinstance(node, dict):
        return []
    if node.get("type") == "Sequence" and isinstance(node.get("processors"), list):
        return next((found for each in node["processors"] if (found := _single_template(each))), [])
    single = node.get("single") if node.get("type") == "TemplateProcessing" else None
    return [each for each in single if isinstance(each, dict)] if isinstance(single, list) else []


def _template_keys(files: TokenizerFiles) -> Iterator[KeyValue]:
    template: Any = files.template or files.tokenizer_config.get("chat_template")
    if isinstance(template, list):  # several named templates
        named = [each for each in template if isinstance(each, dict)]
        template = next(
            (each.get("template") for each in named if each.get("name") == "default"), 0
        )
    if isinstance(template, str):
        yield scalar("tokenizer.chat_template", template)


def _damaged(files: TokenizerFiles, detail: str) -> SourceDamaged:
    return SourceDamaged(path=str(files.path), detail=detail)


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


_KNOWN: Final = {
    (f"Split {_QWEN2}", "ByteLevel"): "qwen2",
    (f"Split {_LLAMA3}", "ByteLevel"): "llama-bpe",
    (*(f"Split {each}" for each in _DEEPSEEK_V3), "ByteLevel"): "deepseek-v3",
    ("Digits", "ByteLevel, own words"): "smollm",
    ("ByteLevel, own words",): "gpt-2",
}


def _pretokenizer(tokenizer: Json, tokens: set[str]) -> str:
    """Returns the engine's name. Raises TokenizerUnknown, which shows the unknown structure."""
    shapes = tuple(map(_shape, _steps(tokenizer.get("pre_tokenizer"))))
    name = _KNOWN.get(shapes)
    if name == "qwen2" and _BEGIN_OF_R1 in tokens:
        return "deepseek-r1-qwen"
    if name is not None:
        return name
    starts = [f"Split {each}" for each in _DEEPSEEK_LLM]
    if shapes[5:] == ("Digits", "ByteLevel") and all(map(str.startswith, shapes, starts)):
        return "deepseek-llm"
    shown = "; ".join(shapes)[:300] or "–"
    raise TokenizerUnknown(
        detail=tr("The engine has no pretokenizer like this one: {steps}", steps=shown)
    )


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
