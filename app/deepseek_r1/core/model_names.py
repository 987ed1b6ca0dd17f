"""Names of models for people: whole ones, and short ones as a person would use them."""

import re
from collections import Counter
from collections.abc import Sequence

QUANTISATION = re.compile(
    r"(?i)(?:^|[-._ ])((?:UD-)?(?:I?Q\d[A-Z0-9_]*|TQ\d_\d|BF16|F16|F32|FP16|MXFP4\w*))$"
)
MOST_CHARACTERS = 32  # of a short name; files may state anything
_SIZE = re.compile(r"(?i)(?<![a-z0-9.])((?:\d+x|[ea])?\d+(?:\.\d+)?[bm])(?![a-z0-9])")
_R1 = re.compile(r"(?i)deepseek[-_ ]?r1")
_ENDING = re.compile(r"(?i)[-_. ](?:instruct|chat|it|distill|gguf|awq|gptq)$")


def title(name: str, quantisation: str) -> str:
    """A model's name with the type of its weights, unless the name has it already."""
    has_it = not quantisation or quantisation.casefold() in name.casefold()
    return name if has_it else f"{name} {quantisation}"


def with_size(name: str, size_label: str | None) -> str:
    """A name with the size that the file states, where it is one and the name has none."""
    is_size = size_label is not None and _SIZE.fullmatch(size_label)
    return f"{name} {size_label}" if is_size and not _SIZE.search(name) else name


def short_name(name: str) -> str:
    """Family and size in a name or a file's name without suffix: "R1 7B", "Qwen2.5-Coder 0.5B".

    A name without a size keeps all but the type of its weights.
    """
    name = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    found = _SIZE.search(name)
    family = name[: found.start()] if found else QUANTISATION.sub("", name)
    family, before = family.rpartition("/")[2].rstrip("-_.: "), ""
    while family != before:
        family, before = _ENDING.sub("", family), family
    family = "R1" if _R1.search(family) else family
    short = f"{family} {found[1][:-1]}{found[1][-1].upper()}" if found else family
    return short[:MOST_CHARACTERS].strip() if family else name[:MOST_CHARACTERS]


def short_names(models: Sequence[Sequence[str]]) -> list[str]:
    """Short names, each with as much more as another one makes necessary.

    Of each model its title, then further texts in which it may differ, such as its file's name.
    """
    longer: list[Sequence[str]] = []
    for whole, *others in models:
        short, quantisation = short_name(whole), QUANTISATION.search(whole)
        typed = title(short, quantisation[1]) if quantisation else short
        longer.append((short, typed, whole, *others))
    counts = Counter(name for names in longer for name in dict.fromkeys(names))
    return [next((name for name in names if counts[name] == 1), names[0]) for names in longer]
