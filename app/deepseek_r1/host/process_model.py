"""Knows the model of the engine's process: its files, and the load that brings it back.

A process opens the files of one model, then no others. The model that was loaded last is loaded
again after a crash, with the settings that were changed since, but not a file that crashed the
engine during its load.
"""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

from deepseek_r1.core.events import Event, LoadProgress, ModelLoaded
from deepseek_r1.host.protocol import (
    AnsweredRequest,
    LoadRequest,
    SetBudgetRequest,
    SetThreadsRequest,
    UnloadRequest,
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


class ProcessModel:
    """The request queue reports here what is sent and what is replied."""

    def __init__(self) -> None:
        self.loaded = False
        self.load: LoadRequest | None = None  # that brings it back
        self._changes: dict[str, Any] = {}  # of its settings, since that load
        self._opened: Hashable | None = None  # the files that the process is locked to

    def on_sent(self, request: AnsweredRequest) -> None:
        match request:
            case SetThreadsRequest():
                self._changes |= request.model_dump(include={"threads", "threads_prefill"})
            case LoadRequest():  # changes from here on are those of its model
                self.load, self._changes = self.reload(), {}
            case UnloadRequest():
                self.load, self.loaded = None, False

    def on_done(self, request: AnsweredRequest) -> None:
        """Note what a request has changed that might have been refused."""
        if isinstance(request, SetBudgetRequest):
            self._changes["memory_budget"] = request.memory_budget

    def on_event(self, load: LoadRequest, event: Event, *, asked_for: bool) -> None:
        """Note an event of a load, which the owner asked for or the queue sent by itself."""
        match event:
            case LoadProgress():  # the file is accepted, and no other will be opened
                self._opened = self._opened or self._files(load)
                self.loaded = False
                if asked_for:
                    self.load = None
            case ModelLoaded(facts=facts):
                if facts.engine.startswith("ctransformers"):
                    # Each load of a Falcon leaves two of ggml's 64 contexts in the process.
                    self._opened = object()  # as other files: the next load gets a fresh one
                self.loaded = True
                self.load = load.model_copy(update={"plan": None})

    def on_process_gone(self) -> None:
        """The next process has no model, and is locked to no files."""
        self.loaded, self._opened = False, None

    def reload(self) -> LoadRequest | None:
        """The load that brings the model back, with the changed settings; None without a model."""
        if self.load is None:
            return None
        settings = self.load.settings.model_copy(update=self._changes)
        return self.load.model_copy(update={"settings": settings, "plan": None})

    def can_open(self, load: LoadRequest) -> bool:
        """Whether the process is locked to no files yet, or to these."""
        there = file_identity(load.path) is not None
        return self._opened is None or (there and self._files(load) == self._opened)

    def _files(self, load: LoadRequest) -> Hashable:
        """The paths of a model, its other models and the folder for prompts; and the files.

        A file that has taken the place of another is locked as well; a graphics processor is opened
        before the lock.
        """
        files = (load.path, load.settings.draft_path, load.settings.embedding_model)
        kept = load.prompt_cache
        folder = kept.path if kept is not None and kept.budget_mib else ""
        return (*files, folder, load.settings.graphics), tuple(map(file_identity, files))
