"""Conversations as one HTML file that loads nothing: style and formulas are in it."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from deepseek_r1.core.i18n import current_language, tr
from r1desk.chat.formulas.formula_service import FormulaService
from r1desk.chat.text.block_splitter import MarkdownBlock
from r1desk.chat.text.colours import colours_of
from r1desk.chat.text.highlight import code_runs
from r1desk.conversations.export.html_tokens import HtmlTokens
from r1desk.theme.tokens import DARK, LIGHT, Tokens

_CODE_CLASSES = {
    "code_keyword": "k",
    "code_string": "s",
    "code_number": "n",
    "code_comment": "c",
    "code_name": "f",
    "code_error": "e",
}
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
svg.formula { fill: currentColor; stroke: none; overflow: visible; } .footnote { font-size: 0.9em; }
nav a, nav { line-height: 1.9; }
@media print { body { max-width: none; margin: 0; } pre { white-space: pre-wrap; } }
"""


def _style() -> str:
    dark = _code_style(DARK)
    return f"{_STYLE}{_code_style(LIGHT)}\n@media (prefers-color-scheme: dark) {{ {dark} }}\n"


def _code_style(theme: Tokens) -> str:
    """CSS rules with the colours of code."""
    return " ".join(
        f".{name} {{ color: {getattr(theme, field)}; }}" for field, name in _CODE_CLASSES.items()
    )


class HtmlWriter:
    """Collects the parts of one document; `document` joins them."""

    def __init__(self, formulas: FormulaService, pause: Callable[[], None]) -> None:
        """`pause` is called while long code is coloured."""
        self._pause = pause
        self._colours = colours_of(LIGHT)
        self._class_of = {
            getattr(self._colours, field).name(): name for field, name in _CODE_CLASSES.items()
        }
        self._tokens = HtmlTokens(formulas)
        self._titles: list[str] = []
        self._parts: list[str] = []

    def begin_conversation(self, title: str) -> None:
        """Add a conversation's title."""
        number = len(self._titles)
        self._titles.append(title)
        kind = ' class="next"' if number else ""
        self._parts.append(f'<h1 id="c{number}"{kind}>{escape(title)}</h1>\n')

    def add_author(self, name: str) -> None:
        """Add the heading over a message."""
        self._parts.append(f'<h2 class="author">{escape(name)}</h2>\n')

    def add_attachment(self, label: str, content: str) -> None:
        """Add a file of a user's message."""
        text = f"<pre><code>{escape(content)}</code></pre>"
        self._parts.append(f"<details><summary>{escape(label)}</summary>{text}</details>\n")

    def add_question(self, content: str) -> None:
        """Add a user's message."""
        if content:
            self._parts.append(f'<div class="you">{escape(content)}</div>\n')

    def begin_thinking(self, label: str) -> None:
        """Begin the thinking of an answer."""
        self._parts.append(f"<details><summary>{escape(label)}</summary>\n")

    def end_thinking(self) -> None:
        """The thinking is over."""
        self._parts.append("</details>\n")

    def add_block(self, block: MarkdownBlock) -> None:
        """Add one block of Markdown; its formulas are settled."""
        if not block.is_code:
            self._parts.append(self._tokens.html(block.tokens))
            return
        runs = code_runs(block.code, block.language, self._colours, self._pause)
        code = "".join(
            f'<span class="{self._class_of[colour]}">{escape(text)}</span>'
            if colour in self._class_of
            else escape(text)
            for text, colour in runs
        )
        self._parts.append(f"<pre><code>{code}</code></pre>\n")

    def close(self) -> None:
        """Nothing is left to do."""

    def document(self) -> bytes:
        """The whole file, in UTF-8."""
        title = escape(self._titles[0] if len(self._titles) == 1 else tr("All conversations"))
        language = escape(current_language().replace("_", "-"), quote=True)
        head = (
            f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{title}</title>\n<style>{_style()}</style>\n</head>\n<body>\n"
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
