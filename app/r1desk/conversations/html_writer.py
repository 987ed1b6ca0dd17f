"""Conversations as one HTML file that loads nothing: style and formulas are in it."""

from collections.abc import Callable, Sequence
from html import escape
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from deepseek_r1.core.i18n import current_language, tr
from r1desk.chat.formulas.formula_layout import UNITS, FormulaLayout, GlyphOutlines
from r1desk.chat.formulas.formula_service import FormulaService
from r1desk.chat.formulas.markdown_math import formula_key, formula_source
from r1desk.chat.text.block_splitter import MarkdownBlock
from r1desk.chat.text.highlight import code_runs
from r1desk.chat.text.markdown_blocks import disguised, web_address
from r1desk.theme.tokens import DARK, LIGHT, Tokens

_CODE_CLASSES = {
    "code_keyword": "k",
    "code_string": "s",
    "code_number": "n",
    "code_comment": "c",
    "code_name": "f",
    "code_error": "e",
}
_MARGIN: Final = 60.0  # around, for letters that reach over their measures
_LEAST_RULE: Final = 40.0
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --line: #d5d9e0; --dim: #5a6472; --box: #f4f6f9; --you: #e8f0fd; }
@media (prefers-color-scheme: dark) {
  :root { --line: #3a4150; --dim: #9aa5b4; --box: #1f242d; --you: #1d2a40; } }
body { font: 16px/1.6 system-ui, "Noto Sans", "Noto Sans SC", "Microsoft YaHei", sans-serif;
  max-width: 46em; margin: 2em auto; padding: 0 1em; overflow-wrap: break-word; }
h1 { font-size: 1.5em; } h1.next { margin-top: 3em; border-top: 1px solid var(--line);
  padding-top: 1em; } h2.author { font-size: 0.85em; color: var(--dim); margin: 2em 0 0.4em; }
.you { background: var(--you); border-radius: 12px; padding: 0.6em 1em; white-space: pre-wrap; }
pre { background: var(--box); border: 1px solid var(--line); border-radius: 8px; padding: 0.7em 1em;
  overflow-x: auto; line-height: 1.45; } code { font-family: ui-monospace, "DejaVu Sans Mono",
  Consolas, monospace; font-size: 0.9em; }
blockquote { border-left: 3px solid var(--line); margin-left: 0; padding-left: 1em; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid var(--line); padding: 0.3em 0.7em; text-align: left; }
details { color: var(--dim); margin: 0.5em 0; } summary { cursor: pointer; }
.display { display: block; text-align: center; margin: 0.9em 0; overflow-x: auto; }
svg.formula { fill: currentColor; stroke: none; overflow: visible; }
nav a, nav { line-height: 1.9; }
@media print { body { max-width: none; margin: 0; } pre { white-space: pre-wrap; } }
"""


def _code_style(theme: Tokens) -> str:
    return " ".join(
        f".{name} {{ color: {getattr(theme, field)}; }}" for field, name in _CODE_CLASSES.items()
    )


class HtmlWriter:
    """Collects the parts of one document; `document` joins them."""

    def __init__(self, formulas: FormulaService, pause: Callable[[], None]) -> None:
        """`pause` is called while long code is coloured."""
        self._pause = pause
        self._tokens = _HtmlTokens(formulas)
        self._titles: list[str] = []
        self._parts: list[str] = []

    def begin_conversation(self, title: str) -> None:
        number = len(self._titles)
        self._titles.append(title)
        kind = ' class="next"' if number else ""
        self._parts.append(f'<h1 id="c{number}"{kind}>{escape(title)}</h1>\n')

    def add_author(self, name: str) -> None:
        self._parts.append(f'<h2 class="author">{escape(name)}</h2>\n')

    def add_attachment(self, label: str, content: str) -> None:
        text = f"<pre><code>{escape(content)}</code></pre>"
        fold = f"<details><summary>{escape(label)}</summary>{text}</details>\n"
        self._parts.append(fold if content else f"<p>{escape(label)}</p>\n")

    def add_question(self, content: str) -> None:
        if content:
            self._parts.append(f'<div class="you">{escape(content)}</div>\n')

    def begin_thinking(self, label: str) -> None:
        self._parts.append(f"<details><summary>{escape(label)}</summary>\n")

    def end_thinking(self) -> None:
        self._parts.append("</details>\n")

    def add_block(self, block: MarkdownBlock) -> None:
        """Add one block of Markdown; its formulas are settled."""
        if not block.is_code:
            self._parts.append(self._tokens.html(block.tokens))
            return
        runs = code_runs(block.code, block.language, self._pause)
        code = "".join(
            f'<span class="{_CODE_CLASSES[field]}">{escape(text)}</span>' if field else escape(text)
            for text, field in runs
        )
        self._parts.append(f"<pre><code>{code}</code></pre>\n")

    def close(self) -> None:
        """Nothing is left to do."""

    def document(self) -> bytes:
        title = escape(self._titles[0] if len(self._titles) == 1 else tr("All chats"))
        language = escape(current_language().replace("_", "-"), quote=True)
        dark = f"@media (prefers-color-scheme: dark) {{ {_code_style(DARK)} }}"
        style = f"{_STYLE}{_code_style(LIGHT)}\n{dark}\n"
        head = (
            f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        )
        text = "".join((head, self._contents(), *self._parts, "</body>\n</html>\n"))
        return text.encode("utf-8", "replace")

    def _contents(self) -> str:
        if len(self._titles) < 2:
            return ""
        rows = "".join(
            f'<li><a href="#c{number}">{escape(title)}</a></li>\n'
            for number, title in enumerate(self._titles)
        )
        return f"<nav><ol>\n{rows}</ol></nav>\n"


class _HtmlTokens(RendererHTML):
    """Renders what the chat draws. Pictures are not loaded, only web addresses are links."""

    def __init__(self, formulas: FormulaService) -> None:
        super().__init__()
        self._formulas = formulas
        self._options = MarkdownIt("commonmark", {"html": False}).options

    def html(self, tokens: Sequence[Token]) -> str:
        return self.render(tokens, self._options, {})

    def math_inline(self, tokens: Sequence[Token], index: int, *_unused: object) -> str:
        """A formula in a line; one that wants a line of its own gets it."""
        drawn = self._formula(tokens[index])
        display = formula_key(tokens[index]).display
        return f'<span class="display">{drawn}</span>' if display else drawn

    def math_block(self, tokens: Sequence[Token], index: int, *_unused: object) -> str:
        return f'<div class="display">{self._formula(tokens[index])}</div>\n'

    def _formula(self, token: Token) -> str:
        """A formula as a drawing; its source where it cannot be set."""
        key, source = formula_key(token), formula_source(token)
        layout = self._formulas.layout(key)
        if layout is None:
            return f"<code>{escape(source)}</code>"
        return _formula_svg(layout, self._formulas.child.outlines, source, display=key.display)

    def math_open(self, tokens: Sequence[Token], index: int, *_unused: object) -> str:
        return f"<code>{escape(formula_source(tokens[index]))}</code>"

    def image(self, tokens: Sequence[Token], index: int, *_unused: object) -> str:
        """The description of a picture, which is not loaded."""
        alt = tokens[index].content.strip()
        note = tr("[image not loaded: {alt}]", alt=alt) if alt else tr("[image not loaded]")
        return f"<em>{escape(note)}</em>"

    def link_open(self, tokens: Sequence[Token], index: int, *_unused: object) -> str:
        """A link, where its address may be followed."""
        address = web_address(str(tokens[index].attrGet("href") or ""))
        if address is None:
            return "<span>"
        return f'<a rel="noopener noreferrer" href="{escape(address, quote=True)}">'

    def link_close(self, tokens: Sequence[Token], index: int, *_unused: object) -> str:
        """The end of a link, with the address where the text hides it."""
        start = index
        while tokens[start].type != "link_open":
            start -= 1
        href = str(tokens[start].attrGet("href") or "")
        label = "".join(token.content for token in tokens[start:index])
        if web_address(href) is None:
            return f"</span> ({escape(href)})"
        hidden = disguised(label, href)
        return f"</a> ({escape(hidden)})" if hidden else "</a>"

    def fence(self, tokens: Sequence[Token], index: int, *_unused: object) -> str:
        """Code inside of a list or quote."""
        return f"<pre><code>{escape(tokens[index].content)}</code></pre>\n"

    code_block = fence  # type: ignore[assignment]  # of the same form


def _formula_svg(
    layout: FormulaLayout, outlines: GlyphOutlines, source: str, *, display: bool
) -> str:
    """A formula as an `svg` element in the size and colour of the text around it.

    `source`, the LaTeX, is its title; screen readers get the formula in words.
    """
    below = max(0.0, layout.descent) + _MARGIN
    above = max(0.0, layout.ascent) + _MARGIN
    width = layout.width + 2 * _MARGIN
    box = f"{-_MARGIN:g} {-above:g} {width:g} {above + below:g}"
    style = f"width:{width / UNITS:.3f}em;height:{(above + below) / UNITS:.3f}em"
    if not display:
        style += f";vertical-align:{-below / UNITS:.3f}em"
    shapes = "".join(_shape(part, outlines) for part in layout.decoded_parts())
    label = escape(layout.speech or source, quote=True)
    return (
        f'<svg class="formula" role="img" aria-label="{label}" viewBox="{box}" style="{style}">'
        f"<title>{escape(source)}</title>{shapes}</svg>"
    )


def _shape(part: list[float | str], outlines: GlyphOutlines) -> str:
    """One part; the layout was validated, so that outlines hold no markup."""
    kind, *rest = part
    if kind == "character":
        text, x, y, advance = rest
        place = f'x="{x:g}" y="{-float(y):g}" font-size="{advance:g}"'
        return f"<text {place}>{escape(str(text))}</text>"
    numbers = [float(value) for value in rest]
    if kind == "glyph":
        glyph, x, y, x_scale, y_scale = numbers
        place = f"translate({x:g} {-y:g}) scale({x_scale:g} {-y_scale:g})"
        return f'<path transform="{place}" d="{outlines[int(glyph)]}"/>'
    if kind == "rule":
        x, y, width, height = numbers
        thick = max(height, _LEAST_RULE)
        return (
            f'<rect x="{x:g}" y="{-(y + height / 2) - thick / 2:g}" '
            f'width="{max(width, _LEAST_RULE):g}" height="{thick:g}"/>'
        )
    x1, y1, x2, y2, width = numbers
    return (
        f'<line x1="{x1:g}" y1="{-y1:g}" x2="{x2:g}" y2="{-y2:g}" '
        f'stroke-width="{max(width, _LEAST_RULE):g}" stroke="currentColor"/>'
    )
