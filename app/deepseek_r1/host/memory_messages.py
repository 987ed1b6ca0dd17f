"""The messages about memory pressure, for the window and the command line."""

from deepseek_r1.core.events import MemoryState
from deepseek_r1.core.i18n import tr


def shortage_text(memory: MemoryState) -> str:
    """Explains that the engine uses less than its budget, and what the user can do."""
    if memory.streams:
        return tr(
            "This computer is short of memory, so less of the model stays in it for "
            "now. The answer goes on, more slowly."
        )
    return tr(
        "This computer is short of memory. The whole model is in memory and "
        "cannot give any back: close other programs, or run it from the disk "
        "with a smaller budget."
    )


def shortage_over_text() -> str:
    """Explains that the whole budget is in use again."""
    return tr("There is enough memory again.")
