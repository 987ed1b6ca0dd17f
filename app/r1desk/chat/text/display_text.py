"""Foreign text made fit to be drawn: what is invisible or would mislead becomes visible.

These are for display only. What is copied, stored or sent is always the exact text.
"""

import re

MAX_WORD = 2_000  # a longer unbroken word makes Qt's line breaking quadratic
BREAK = "\u200b"  # where such a word may be broken
LINE = "\u2028"  # a line break inside one paragraph of a QTextDocument
REPLACEMENT = "\ufffd"

# C0 but tab and newline, DEL, C1, bidi overrides and isolates, surrogates, the object marker,
# and the two noncharacters that QTextDocument uses for its own frames.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
    "\ud800-\udfff\ufdd0-\ufdef\ufffc\ufffe\uffff]"
)
_HIDDEN = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u2060-\u2064\ufeff\U000e0000-\U000e007f]")
_LONG_WORD = re.compile(rf"(?<!\S)\S{{{MAX_WORD + 1},}}")
_NAMES = {
    0x00AD: "SHY", 0x061C: "ALM", 0x200B: "ZWSP", 0x200C: "ZWNJ", 0x200D: "ZWJ", 0x200E: "LRM",
    0x200F: "RLM", 0x202A: "LRE", 0x202B: "RLE", 0x202C: "PDF", 0x202D: "LRO", 0x202E: "RLO",
    0x2060: "WJ", 0x2066: "LRI", 0x2067: "RLI", 0x2068: "FSI", 0x2069: "PDI", 0xFEFF: "BOM",
}  # fmt: skip


def newlines(text: str) -> str:
    """All line ends as "\\n"."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def prose(text: str) -> str:
    """`text` without anything that could reorder, hide or break the lines around it."""
    return _UNSAFE.sub(_symbol, text)


def breakable(text: str) -> str:
    """`text` with a place to break in each word that is too long to lay out at once."""
    return _LONG_WORD.sub(_broken, text)


def code(text: str) -> str:
    """`text` for a code block: invisible characters too are shown, by name."""
    return _HIDDEN.sub(_symbol, _UNSAFE.sub(_symbol, text))


def clipped(text: str) -> str:
    """`text` for the clipboard: as it is, but for halves of characters, which have no encoding."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def unbroken(selected: str) -> str:
    """A selection as it was before `breakable`, with plain newlines."""
    return selected.replace(BREAK, "").replace("\u2029", "\n").replace(LINE, "\n")


def plain_tooltip(text: str) -> str:
    """`text` for a tooltip: Qt draws what looks like HTML as HTML."""
    return prose(text).replace("<", "‹").replace("&", "＆")


def paragraph_slices(text: str, size: int) -> list[str]:
    """`text` in pieces of about `size` characters that end where a line ends.

    A line is cut only where it alone is longer than ten pieces.
    """
    pieces: list[str] = []
    start = 0
    while start < len(text):
        end = text.rfind("\n", start, start + size)
        if end < start + size // 2:
            end = text.find("\n", start + size, start + 10 * size)
        if end < 0:
            end = len(text) - 1 if len(text) - start <= 10 * size else start + size
        pieces.append(text[start : end + 1])
        start = end + 1
    return pieces


def _broken(match: re.Match[str]) -> str:
    word = match.group()
    return BREAK.join(word[at : at + MAX_WORD] for at in range(0, len(word), MAX_WORD))


def _symbol(match: re.Match[str]) -> str:
    point = ord(match.group())
    if point < 0x20:
        return chr(0x2400 + point)
    if point == 0x7F:
        return "\u2421"
    if point in {0x2028, 0x2029}:
        return "\n"
    if point in _NAMES:
        return f"⟨{_NAMES[point]}⟩"
    if 0xE0000 <= point <= 0xE007F:
        return f"⟨U+{point:X}⟩"
    return REPLACEMENT
