"""Bounds of a formula, the same in the window and in the child process that sets it."""

from __future__ import annotations

from typing import Final

MAX_SOURCE: Final = 3_000  # characters of one formula
MAX_PARTS: Final = 2_000  # glyphs, rules and lines of one formula
MAX_EXTENT: Final = 400_000  # thousandths of an em: 400 em in width or height
MAX_BREAKS: Final = 40  # places where a formula may be broken into lines
MAX_OUTLINE: Final = 8_000  # characters of one glyph's outline
MAX_SPEECH: Final = 4_000  # characters of the text for screen readers
MAX_REPLY: Final = 400_000  # bytes of one reply of the child process
