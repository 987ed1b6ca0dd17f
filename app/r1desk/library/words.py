"""Numbers of the library as people read them."""

from __future__ import annotations

GB = 1_000_000_000
MB = 1_000_000


def size_words(nbytes: int) -> str:
    """A file's size as download pages give it: decimal units."""
    return f"{nbytes / GB:.2f} GB" if nbytes >= GB else f"{nbytes / MB:.0f} MB"
