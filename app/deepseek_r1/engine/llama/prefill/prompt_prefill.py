"""Prefills prompts: keeps what the cells hold of them, and computes the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from deepseek_r1.core.events import PrefillProgress
from deepseek_r1.engine.llama.binding.context import LlamaContext
from deepseek_r1.engine.llama.prefill.prefill_chunking import PrefillChunker
from deepseek_r1.engine.llama.prompt_cache.prefix_cache import PrefixCache
from deepseek_r1.engine.llama.prompt_cache.prompt_pieces import PromptPieces
from deepseek_r1.engine.output.generation_output import GenerationOutput

_AGAIN_SHARE = 4  # of the missing tokens, a quarter as many may be computed again for whole pieces


class PromptPrefill:
    """Fills sequence 0 of a context. For the computing thread."""

    def __init__(
        self, context: LlamaContext, prefix_cache: PrefixCache | None, poll: Callable[[], None]
    ) -> None:
        """`poll` is called before each computation; it raises AbortedError for a cancel.

        With a `prefix_cache` all prompts are computed in whole pieces; see `prompt_pieces`.
        """
        self._context, self._prefix_cache, self._poll = context, prefix_cache, poll
        self._chunker = PrefillChunker(context.params.micro_batch)
        self._pieces = PromptPieces(context)

    def run(
        self, prompt: list[int], output: GenerationOutput, *, whole_pieces: bool
    ) -> Iterator[PrefillProgress]:
        """Prefill the prompt of an answer, whose `output` gets the counts and the time.

        With `whole_pieces` the cells depend on nothing but the prompt; see `prompt_pieces`. Raises
        AbortedError, EngineFailed.
        """
        total = len(prompt)
        if self._prefix_cache is not None:
            restored = self._prefix_cache.restore(prompt, total - 1, whole_pieces=whole_pieces)
            dropped = self._pieces.drop_others(most=self._missing(prompt) // _AGAIN_SHARE)
            output.restored_tokens = max(0, restored - dropped)
        elif whole_pieces:
            self._pieces.keep_prefix(prompt)
        else:
            self._context.keep_prefix(prompt)
        cached = output.cached_tokens = len(self._context.cells)
        yield PrefillProgress(done=cached, total=total, cached=cached)
        compute = self._compute_all_pieces if whole_pieces else self.compute
        for seconds in compute(prompt):
            output.prefill_s += seconds
            done = len(self._context.cells)
            yield PrefillProgress(done=done, total=total, cached=cached)

    def resume_pieces(self, prompt: list[int]) -> None:
        """Drop cells, so that what is computed next for `prompt` is in whole pieces.

        Unless that makes too much to compute again: the cells of an answer, which were filled one
        by one, remain. Nothing is dropped where nothing is saved.
        """
        if self._prefix_cache is not None:
            self._pieces.drop_others(most=self._missing(prompt) + 2 * self._pieces.size)

    def _missing(self, prompt: list[int]) -> int:
        return len(prompt) - len(self._context.cells)

    def compute(self, prompt: list[int]) -> Iterator[float]:
        """Compute the tokens that the cells lack; yields the seconds of each computation.

        Computations are smaller while the machine is short of memory.
        """
        context = self._context
        if self._prefix_cache is not None:
            yield from self._compute_pieces(prompt, lambda: context.max_batch_tokens)
            return
        while (done := len(context.cells)) < len(prompt):
            self._poll()
            most = min(self._chunker.chunk_tokens(), context.max_batch_tokens)
            chunk = prompt[done : done + most]
            began = time.perf_counter()
            context.compute(chunk)
            seconds = time.perf_counter() - began
            self._chunker.observe(len(chunk), seconds)
            yield seconds

    def _compute_all_pieces(self, prompt: list[int]) -> Iterator[float]:
        """Compute the tokens that the cells lack, in pieces that depend on nothing else."""
        return self._compute_pieces(prompt, lambda: self._context.most_tokens)

    def _compute_pieces(self, prompt: list[int], most: Callable[[], int]) -> Iterator[float]:
        while len(self._context.cells) < len(prompt):
            self._poll()
            began = time.perf_counter()
            self._pieces.compute_next(prompt, most())
            yield time.perf_counter() - began
