"""Markdown tokens as HTML: only what is named here, and every text escaped."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

from deepseek_r1.core.i18n import tr
from r1desk.chat.text.markdown_blocks import disguised, web_address
from r1desk.conversations.export.document_blocks import formula_key, formula_source

Environment = MutableMapping[str, Any]
FormulaMarkup = Callable[[Token], str | None]  # a typeset formula; None where it stays source


class HtmlTokens(RendererHTML):
    """Renders what the chat draws. Pictures are not loaded, only web addresses are links."""

    def __init__(self, formula: FormulaMarkup) -> None:
        super().__init__()
        self._formula = formula
        self._options = MarkdownIt("commonmark", {"html": False}).options

    def html(self, tokens: Sequence[Token]) -> str:
        """These tokens as HTML."""
        return self.render(tokens, self._options, {})

    def math_inline(
        self, tokens: Sequence[Token], index: int, _options: OptionsDict, _env: Environment
    ) -> str:
        """A formula in a line; one that wants a line of its own gets it."""
        token = tokens[index]
        drawn = self._formula(token) or f"<code>{escape(formula_source(token))}</code>"
        if formula_key(token).display:
            return f'<span class="display">{drawn}</span>'
        return drawn

    def math_block(
        self, tokens: Sequence[Token], index: int, _options: OptionsDict, _env: Environment
    ) -> str:
        """A formula on lines of its own."""
        drawn = self._formula(tokens[index])
        source = escape(formula_source(tokens[index]))
        return f'<div class="display">{drawn or f"<code>{source}</code>"}</div>\n'

    def math_open(
        self, tokens: Sequence[Token], index: int, _options: OptionsDict, _env: Environment
    ) -> str:
        """A formula without an end."""
        return f"<code>{escape(formula_source(tokens[index]))}</code>"

    def footnote_ref(
        self, tokens: Sequence[Token], index: int, _options: OptionsDict, _env: Environment
    ) -> str:
        """The number of a footnote."""
        return f"<sup>[{escape(tokens[index].content)}]</sup>"

    def footnote_open(
        self, tokens: Sequence[Token], index: int, _options: OptionsDict, _env: Environment
    ) -> str:
        """The beginning of a footnote."""
        return f'<p class="footnote">[{escape(tokens[index].content)}] '

    def footnote_close(
        self, _tokens: Sequence[Token], _index: int, _options: OptionsDict, _env: Environment
    ) -> str:
        """The end of a footnote."""
        return "</p>\n"

    def image(
        self, tokens: Sequence[Token], index: int, _options: OptionsDict, _env: Environment
    ) -> str:
        """The description of a picture, which is not loaded."""
        alt = tokens[index].content.strip()
        note = tr("[image blocked: {alt}]", alt=alt) if alt else tr("[image blocked]")
        return f"<em>{escape(note)}</em>"

    def link_open(
        self, tokens: Sequence[Token], index: int, _options: OptionsDict, _env: Environment
    ) -> str:
        """A link, where its address may be followed."""
        address = web_address(str(tokens[index].attrGet("href") or ""))
        if address is None:
            return "<span>"
        return f'<a rel="noopener noreferrer" href="{escape(address, quote=True)}">'

    def link_close(
        self, tokens: Sequence[Token], index: int, _options: OptionsDict, _env: Environment
    ) -> str:
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

    def fence(
        self, tokens: Sequence[Token], index: int, _options: OptionsDict, _env: Environment
    ) -> str:
        """Code inside of a list or quote."""
        return f"<pre><code>{escape(tokens[index].content)}</code></pre>\n"

    code_block = fence
