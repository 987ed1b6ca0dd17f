"""What is said while the machine is short of memory, in the window and on the command line."""

from __future__ import annotations

from deepseek_r1.core.events import MemoryState
from deepseek_r1.core.words import tr


def shortage_words(memory: MemoryState) -> str:
    """The engine uses less than it may, and what the user can do."""
    if memory.streams:
        return tr(
            "The computer is short of memory: less of the model stays in it until there is more "
            "again. The answer goes on, more slowly."
        )
    return tr(
        "The computer is short of memory. This model is in memory whole and cannot give any back: "
        "close other programs, or load it with Swap to disk and a smaller budget."
    )


def shortage_over_words() -> str:
    """The engine uses what it may again."""
    return tr("There is enough memory again.")
