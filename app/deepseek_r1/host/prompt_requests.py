"""Serves the requests on prompts that are kept on disk. Owns their folder in the engine's process.

For the main thread of the engine's process, which computes.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING

from deepseek_r1.core import log
from deepseek_r1.core.errors import PromptCacheUnavailable
from deepseek_r1.core.events import PromptCacheState
from deepseek_r1.host.protocol import PromptCacheFolder, RetainPromptsRequest

if TYPE_CHECKING:
    from deepseek_r1.engine.llama.prompt_cache.segment_store import PromptCache

_MIB = 1 << 20


class PromptRequests:
    """Keeps at most one folder open."""

    def __init__(self) -> None:
        self._folder: PromptCacheFolder | None = None
        self._cache: PromptCache | None = None
        self._problem = ""

    @property
    def wanted(self) -> bool:
        """True while prompts are kept on disk. Any thread."""
        return self._folder is not None

    def open(self, wanted: PromptCacheFolder | None) -> PromptCache | None:
        """The cache in the requested folder; None without one.

        Where the disk is full, or where answers need not be saved, the state has the reason why
        there is none. Raises PromptCacheUnavailable for everything else.
        """
        if wanted is None or (self._folder and self._folder.path != wanted.path):
            self.close()
        if wanted is None:
            return None
        if self._cache is not None:
            self._cache.set_budget(wanted.budget_mib * _MIB)
        else:
            self._open(wanted)
        self._folder = wanted
        return self._cache

    def _open(self, wanted: PromptCacheFolder) -> None:
        from deepseek_r1.engine.llama.prompt_cache.segment_store import (  # noqa: PLC0415 - if wanted
            PromptCache,
        )

        self._problem = ""
        try:
            self._cache = PromptCache(Path(wanted.path), wanted.budget_mib * _MIB)
        except PromptCacheUnavailable as error:
            if wanted.save_answers and not _is_full(error.__cause__):
                raise
            log.engine.warning("prompts are not kept on disk: %s", error)
            self._problem = str(error)

    def close(self) -> None:
        """Let other processes have the folder."""
        if self._cache is not None:
            self._cache.close()
        self._cache = self._folder = None

    def state(self) -> PromptCacheState | None:
        """The folder's state; None where no folder is requested."""
        if self._folder is None:
            return None
        if self._cache is None:
            return PromptCacheState(problem=self._problem)
        return self._cache.state()

    def retain(self, request: RetainPromptsRequest) -> None:
        cache = self.open(request.folder)
        if cache is not None:
            cache.retain_owners(request.owners)


def _is_full(cause: BaseException | None) -> bool:
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
