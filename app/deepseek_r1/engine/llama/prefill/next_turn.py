"""Prepares the next turn of a conversation while the user reads or writes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from deepseek_r1.core.events import PrefillProgress
from deepseek_r1.engine.llama.binding.context import AbortedError, LlamaContext
from deepseek_r1.engine.llama.prefill.prompt_prefill import PromptPrefill
from deepseek_r1.engine.llama.prompt_cache.prefix_cache import PrefixCache
from deepseek_r1.engine.prompt.common_prefix import common_length
from deepseek_r1.memory.plan import DECODE_ROWS


class NextTurn:
    """Restores, computes and saves the prefix of the next prompt. For the computing thread."""

    def __init__(
        self,
        context: LlamaContext,
        prefix_cache: PrefixCache | None,
        prefill: PromptPrefill,
        *,
        begin_prefill: Callable[[int], None],
        begin_decode: Callable[[], None],
        read_draft: Callable[[list[int]], None],
    ) -> None:
        """`begin_prefill` gets the number of cells that will be filled, `begin_decode` is called
        when nothing more is computed, and `read_draft` lets the draft model read the prefix.
        """
        self._context, self._prefix_cache, self._prefill = context, prefix_cache, prefill
        self._begin_prefill, self._begin_decode = begin_prefill, begin_decode
        self._read_draft = read_draft
        self._prefix: list[int] = []  # of the last preparation
        self._owner = ""
        self.running = False
        """Whether a preparation computes now."""

    def prepare(self, prefix: list[int], owner: str, *, compute: bool) -> Iterator[PrefillProgress]:
        """Restore the prefix, compute the rest if `compute`, and save it in the name of `owner`.

        A cancel ends it: what is saved and computed by then remains.
        """
        self.running = True
        try:
            self._save_prefix()
            if self._prefix_cache is not None:
                self._prefix_cache.restore(prefix, len(prefix), whole_pieces=False)
            elif compute:
                self._context.truncate(common_length(self._context.cells, prefix))
            self._prefix, self._owner = prefix, owner
            total = len(prefix)
            if compute and len(self._context.cells) < total:
                self._prefill.resume_pieces(prefix)
            cached = len(self._context.cells)
            yield PrefillProgress(done=cached, total=total, cached=cached)
            if compute and cached < total:
                self._begin_prefill(total + DECODE_ROWS)
                for _ in self._prefill.compute(prefix):
                    done = len(self._context.cells)
                    yield PrefillProgress(done=done, total=total, cached=cached)
            self._save_prefix()
            if compute:
                self._read_draft(prefix)
        except AbortedError:
            return
        finally:
            self.running = False
            self._begin_decode()

    def save(self, seconds: float) -> None:
        """Write segments that the last preparation did not, for at most `seconds`."""
        try:
            self._save_prefix(time.monotonic() + seconds)
        except AbortedError:
            return

    def _save_prefix(self, until: float | None = None) -> None:
        if self._prefix_cache is not None and self._prefix:
            self._prefix_cache.save(self._prefix, self._owner, until)
