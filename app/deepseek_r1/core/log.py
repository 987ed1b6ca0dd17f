"""Logging: one logger for each subsystem, in English, never with the text of a conversation."""

import faulthandler
import logging
import logging.handlers
from pathlib import Path
from typing import IO

from deepseek_r1.core.paths import make_private_dir

engine = logging.getLogger("r1.engine")
host = logging.getLogger("r1.host")
models = logging.getLogger("r1.models")
store = logging.getLogger("r1.store")
window = logging.getLogger("r1.window")

# Without a handler Python writes warnings to standard error, which is the program's own.
logging.getLogger("r1").addHandler(logging.NullHandler())

_FORMAT = "%(asctime)s %(levelname)-7s %(name)s %(message)s"
_crash_file: IO[str] | None = None


def to_file(folder: Path, name: str) -> None:
    """Write logs (1 MB, three files) and native crash traces below `folder`.

    Raises OSError where the folder cannot be written; the caller decides how to continue.
    """
    global _crash_file  # noqa: PLW0603 - faulthandler keeps the descriptor for the process's life
    make_private_dir(folder)
    handler = logging.handlers.RotatingFileHandler(
        folder / f"{name}.log", maxBytes=1_000_000, backupCount=2, encoding="utf-8", delay=True
    )
    handler.setFormatter(logging.Formatter(_FORMAT))
    root = logging.getLogger("r1")
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    _crash_file = (folder / f"{name}.crash").open("a", encoding="utf-8")
    faulthandler.enable(_crash_file)
