"""The files that an engine's process can open: those of one model, from its load on.

Its lock lets it open no others, nor a file that has taken the place of one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path

from deepseek_r1.host.protocol import (
    AnsweredRequest,
    InspectRequest,
    LoadRequest,
    RetainPromptsRequest,
)


def file_identity(path: str) -> Hashable | None:
    """The file that a path names at present; None where it names none."""
    if not path:
        return None
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


@dataclass(frozen=True, slots=True)
class _ModelFiles:
    """The paths of a model and its draft model, the files that they named when this was made, and
    the folder of prompts."""

    paths: tuple[str, str]
    identities: tuple[Hashable | None, ...]
    prompts: str


class ProcessFiles:
    """The files that one process can open. Call `reset` when another takes its place."""

    def __init__(self, identity: Callable[[str], Hashable | None] = file_identity) -> None:
        """`identity` returns what a path names at present; None for nothing."""
        self._identity = identity
        self._opened: _ModelFiles | None = None

    def reset(self) -> None:
        """Forget the files: a new process can open any."""
        self._opened = None

    def record_opened(self, load: LoadRequest) -> None:
        """Record that the process has accepted this load's file. Later loads change nothing."""
        self._opened = self._opened or self._files(load)

    def can_serve(self, request: AnsweredRequest, loading: LoadRequest | None) -> bool:
        """Whether the process can read and write what the request names.

        A load on its way, `loading`, will take all other files from it.
        """
        opened = self._opened
        if opened is None and isinstance(request, InspectRequest) and loading is not None:
            opened = self._files(loading)
        if opened is None:
            return True
        match request:
            case InspectRequest():
                return self._inspects(request, opened)
            case LoadRequest():
                return self._files(request) == opened and opened.identities[0] is not None
            case RetainPromptsRequest(folder=folder):
                return folder.path == opened.prompts
            case _:
                return True

    def would_lock_out(self, inspections: Iterable[InspectRequest], load: LoadRequest) -> bool:
        """Whether this load, as the process's first, would lock out files that it inspects."""
        if self._opened is not None:
            return False
        opened = self._files(load)
        return any(not self._inspects(each, opened) for each in inspections)

    def _files(self, load: LoadRequest) -> _ModelFiles:
        paths = (load.path, load.settings.draft_path)
        folder = load.prompt_cache.path if load.prompt_cache is not None else ""
        return _ModelFiles(paths, tuple(map(self._identity, paths)), folder)

    def _inspects(self, request: InspectRequest, opened: _ModelFiles) -> bool:
        paths = (request.path, request.settings.draft_path)
        identities = tuple(map(self._identity, paths))
        return (paths, identities) == (opened.paths, opened.identities)
