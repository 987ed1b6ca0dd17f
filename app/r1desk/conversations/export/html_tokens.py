"""Markdown tokens as HTML: only what is named here, and every text escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from deepseek_r1.core.i18n import tr
from r1desk.chat.formulas.formula_layout import FormulaLayout, GlyphOutlines
from r1desk.chat.formulas.formula_service import FormulaService
from r1desk.chat.formulas.markdown_math import formula_key, formula_source
from r1desk.chat.text.markdown_blocks import disguised, web_address

_EM: Final = 1_000.0  # of a layout's units
_MARGIN: Final = 60.0  # around, for letters that reach over their measures
_LEAST_RULE: Final = 40.0


class HtmlTokens(RendererHTML):
    """Renders what the chat draws. Pictures are not loaded, only web addresses are links."""

    def __init__(self, formulas: FormulaService) -> None:
        super().__init__()
        self._formulas = formulas
        self._options = MarkdownIt("commonmark", {"html": False}).options

    def html(self, tokens: Sequence[Token]) -> str:
        """These tokens as HTML."""
        return self.render(tokens, self._options, {})

    def math_inline(self, tokens: Sequence[Token], index: int, *_unused: object) -> str:
        """A formula in a line; one that wants a line of its own gets it."""
        drawn = self._formula(tokens[index])
        display = formula_key(tokens[index]).display
        return f'<span class="display">{drawn}</span>' if display else drawn

    def math_block(self, tokens: Sequence[Token], index: int, *_unused: object) -> str:
        """A formula on lines of its own."""
        return f'<div class="display">{self._formula(tokens[index])}</div>\n'

    def _formula(self, token: Token) -> str:
        """A formula as a drawing; its source where it cannot be set."""
        key, source = formula_key(token), formula_source(token)
        layout = self._formulas.layout(key)
        if layout is None:
            return f"<code>{escape(source)}</code>"
        return _formula_svg(layout, self._formulas.outlines, source, display=key.display)

    def math_open(self, tokens: Sequence[Token], index: int, *_unused: object) -> str:
        """A formula without an end."""
        return f"<code>{escape(formula_source(tokens[index]))}</code>"

    def footnote_ref(self, tokens: Sequence[Token], index: int, *_unused: object) -> str:
        """The number of a footnote."""
        return f"<sup>[{escape(tokens[index].content)}]</sup>"

    def footnote_open(self, tokens: Sequence[Token], index: int, *_unused: object) -> str:
        """The beginning of a footnote."""
        return f'<p class="footnote">[{escape(tokens[index].content)}] '

    def footnote_close(self, *_unused: object) -> str:
        """The end of a footnote."""
        return "</p>\n"

    def image(self, tokens: Sequence[Token], index: int, *_unused: object) -> str:
        """The description of a picture, which is not loaded."""
        alt = tokens[index].content.strip()
        note = tr("[image blocked: {alt}]", alt=alt) if alt else tr("[image blocked]")
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

    code_block = fence


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
    style = f"width:{width / _EM:.3f}em;height:{(above + below) / _EM:.3f}em"
    if not display:
        style += f";vertical-align:{-below / _EM:.3f}em"
    shapes = "".join(_shape(part, outlines) for part in layout.decoded_parts())
    label = escape(layout.speech or source, quote=True)
    return (
        f'<svg class="formula" role="img" aria-label="{label}" viewBox="{box}" style="{style}">'
        f"<title>{escape(source)}</title>{shapes}</svg>"
    )


def _shape(part: list[float | str], outlines: GlyphOutlines) -> str:
    """One part; the layout was validated, so that colours and outlines hold no markup."""
    kind, *rest = part
    colour = f' fill="{rest[-1]}"' if rest[-1] else ""
    if kind == "glyph":
        glyph, x, y, x_scale, y_scale, _ = rest
        place = f"translate({x:g} {-float(y):g}) scale({x_scale:g} {-float(y_scale):g})"
        return f'<path transform="{place}" d="{outlines[int(glyph)]}"{colour}/>'
    if kind == "character":
        text, x, y, advance, _ = rest
        return (
            f'<text x="{x:g}" y="{-float(y):g}" font-size="{advance:g}"{colour}>'
            f"{escape(str(text))}</text>"
        )
    if kind == "rule":
        x, y, width, height = (float(value) for value in rest[:4])
        thick = max(height, _LEAST_RULE)
        return (
            f'<rect x="{x:g}" y="{-(y + height / 2) - thick / 2:g}" '
            f'width="{max(width, _LEAST_RULE):g}" height="{thick:g}"{colour}/>'
        )
    stroke = f' stroke="{rest[-1] or "currentColor"}"'
    if kind == "line":
        x1, y1, x2, y2, width = (float(value) for value in rest[:5])
        return (
            f'<line x1="{x1:g}" y1="{-y1:g}" x2="{x2:g}" y2="{-y2:g}" '
            f'stroke-width="{max(width, _LEAST_RULE):g}"{stroke}/>'
        )
    outline, width, _ = rest
    drawn = f' fill="none" stroke-width="{width:g}"{stroke}' if width else colour
    return f'<path transform="scale(1 -1)" d="{outline}"{drawn}/>'
