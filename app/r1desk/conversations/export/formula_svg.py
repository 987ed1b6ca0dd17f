"""Typeset formulas as SVG inside of HTML, without any file beside it."""

from __future__ import annotations

from html import escape
from typing import Final

from r1desk.chat.formulas.formula_layout import FormulaLayout, GlyphOutlines

_EM: Final = 1_000.0  # of a layout's units
_MARGIN: Final = 60.0  # around, for letters that reach over their measures
_LEAST_RULE: Final = 40.0


def formula_svg(
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
