"""A model that was opened lately, as the pill and the panel list it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RecentModel:
    """A model that can be loaded with one click, unless its file is missing."""

    path: Path
    name: str
    fit: str = ""  # empty until the file was read
    missing: bool = False
    current: bool = False
