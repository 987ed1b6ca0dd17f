"""Markdown parsed: its top-level blocks, with formulas, and bare addresses as links."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from r1desk.chat.formulas.markdown_math import OPEN_END, add_math_rules

MAX_BLOCK = 8_000  # characters; what grows longer is committed in parts
MAX_TABLE = 4_000
MAX_BLOCK_LINES = 120
MAX_NESTING = 20
_MAX_BRACKETS = 150  # in one paragraph; matching them up is quadratic
_MAX_STARS = 600
_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9])https?://[^\s<>\"'`|\u3000-\u303f\uff00-\uffef\u2018-\u201d\u4e00-\u9fff]+",
    re.IGNORECASE,
)
_TRAILING = frozenset(".,;:!?*_~'\"")
_MAX_LINKS = 200  # in one paragraph
_DOMAIN = re.compile(r"(?:https?://)?(?:[^\s/@]+@)?((?:[\w-]+\.)+[^\W\d]{2,})", re.IGNORECASE)
_MAX_ADDRESS = 2_000
_BREAK = re.compile(r"<br\s*/?>[ \t]*\n?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SourceBlock:
    """The tokens of one top-level block, and where its source begins."""

    tokens: tuple[Token, ...]
    start: int
    source: str

    @property
    def is_fence(self) -> bool:
        return self.tokens[0].type == "fence"

    @property
    def is_long(self) -> bool:
        return len(self.source) > self.max_size or self.source.count("\n") > MAX_BLOCK_LINES

    @property
    def max_size(self) -> int:
        return MAX_TABLE if self.tokens[0].type == "table_open" else MAX_BLOCK


def _parser(*off: str) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": MAX_NESTING})
    parser.enable(["table", "strikethrough"]).disable(["html_block", "html_inline", *off])
    parser.inline.ruler.before("autolink", "line_break", _line_break)
    add_math_rules(parser)
    # Which links may be followed is decided where they are drawn, with their text kept.
    parser.validateLink = lambda url: True  # type: ignore[method-assign]  # noqa: ARG005
    return parser


def _line_break(state: StateInline, silent: bool) -> bool:
    """`<br>`, the only tag that is not text: models write it into cells of tables."""
    found = _BREAK.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        state.push("hardbreak", "br", 0)
    state.pos = found.end()
    return True


_FULL = _parser()
_NO_BRACKETS = _parser("link", "image")
_PLAIN = _parser("link", "image", "emphasis", "strikethrough")
_BLOCKS = _parser()
_BLOCKS.core.ruler.disable(["inline", "text_join"])
# A definition changes links before and after it, which were drawn already: it stays text.
_BLOCKS.disable("reference")


def groups_of(source: str, *, open_end: bool = False) -> list[SourceBlock]:
    """The top-level blocks of `source`, their inline content not parsed yet.

    With `open_end` the text may still grow: a formula without an end may be an unfinished one.
    """
    if not source.strip():
        return []
    offsets = [0]
    for line in source.split("\n"):
        offsets.append(offsets[-1] + len(line) + 1)
    found: list[tuple[int, list[Token]]] = []
    depth = 0
    for token in _BLOCKS.parse(source, {OPEN_END: open_end}):
        if depth == 0:
            found.append((offsets[token.map[0]] if token.map else 0, []))
        found[-1][1].append(token)
        depth += token.nesting
    ends = [start for start, _ in found[1:]] + [len(source)]
    return [
        SourceBlock(tuple(tokens), start, source[start:end])
        for (start, tokens), end in zip(found, ends, strict=True)
    ]


def last_code(source: str) -> str:
    """The last code block of `source`, also one inside of a list; empty where there is none."""
    kinds = {"fence", "code_block"}
    codes = [t.content for t in _BLOCKS.parse(source, {OPEN_END: False}) if t.type in kinds]
    return codes[-1].removesuffix("\n") if codes else ""


def inlined(group: SourceBlock, *, open_end: bool = False) -> Sequence[Token]:
    """The tokens of `group`, with what stands inside of its lines.

    With `open_end` the last line may still grow.
    """
    last = next((token for token in reversed(group.tokens) if token.type == "inline"), None)
    for token in group.tokens:
        if token.type == "inline" and not token.children:
            parser = _inline_parser(token.content)
            environment = {OPEN_END: open_end and token is last}
            token.children = []
            parser.inline.parse(token.content, parser, environment, token.children)
            token.children = _with_autolinks(token.children)
    return group.tokens


def _inline_parser(content: str) -> MarkdownIt:
    """A parser whose time on `content` stays in bounds, whatever was written to prevent that."""
    if content.count("*") + content.count("_") + content.count("~") > _MAX_STARS:
        return _PLAIN
    if content.count("[") > _MAX_BRACKETS:
        return _NO_BRACKETS
    return _FULL


def _with_autolinks(children: list[Token]) -> list[Token]:
    """`children` of an inline token, with links for bare addresses, as on GitHub."""
    if not any("://" in child.content for child in children if child.type == "text"):
        return children
    result: list[Token] = []
    inside_link = 0
    for child in children:
        if child.type in {"link_open", "link_close"}:
            inside_link += child.nesting
        if child.type == "text" and not inside_link and len(result) < _MAX_LINKS:
            result.extend(_parted(child))
        else:
            result.append(child)
    return result


def _parted(text: Token) -> list[Token]:
    parts: list[Token] = []
    done = 0
    for found in _ADDRESS.finditer(text.content):
        address = _trimmed(found.group())
        if len(address) <= len("https://"):
            continue
        parts += _text(text, text.content[done : found.start()])
        opening = Token("link_open", "a", 1, attrs={"href": address}, level=text.level)
        parts += [opening, *_text(text, address), Token("link_close", "a", -1, level=text.level)]
        done = found.start() + len(address)
    return [*parts, *_text(text, text.content[done:])] if parts else [text]


def _trimmed(address: str) -> str:
    """Without what ends the sentence around it, or closes a parenthesis that it did not open."""
    end, unopened = len(address), address.count(")") - address.count("(")
    while end and (address[end - 1] in _TRAILING or (address[end - 1] == ")" and unopened > 0)):
        end -= 1
        unopened -= address[end] == ")"
    return address[:end]


def _text(like: Token, content: str) -> list[Token]:
    return [like.copy(content=content)] if content else []


def first_address(text: str) -> str:
    """The first web address in a text; "" for none."""
    found = (web_address(_trimmed(each[0])) for each in _ADDRESS.finditer(text))
    return next(filter(None, found), "")


def web_address(href: str) -> str | None:
    """`href` if it is a complete http or https address, else None.

    An address with user-info (`https://docs.example@evil.example/`) is none: nobody links so, and
    it hides the host.
    """
    if len(href) > _MAX_ADDRESS or any(ord(c) <= 0x20 or c in "\\\x7f" for c in href):
        return None
    try:
        parts = urlsplit(href)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not host or "@" in parts.netloc:
        return None
    return href


def disguised(label: str, href: str) -> str | None:
    """The true host of `href` when `label` reads like the address of another one."""
    named = _DOMAIN.match(label.strip())
    host = urlsplit(href).hostname or ""
    if not named or named.group(1).lower().removeprefix("www.") == host.removeprefix("www."):
        return None
    return host
