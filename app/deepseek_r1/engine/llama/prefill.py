"""Prefills prompts: keeps what the cells hold of them, and computes the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from deepseek_r1.core.events import PrefillProgress
from deepseek_r1.engine.llama.binding.context import AbortedError, LlamaContext
from deepseek_r1.engine.llama.prompt_cache.prefix_cache import PrefixCache, PromptPieces
from deepseek_r1.engine.output.generation_output import GenerationOutput
from deepseek_r1.engine.prompt.prompt_builder import common_length
from deepseek_r1.memory.plan import DECODE_ROWS

TARGET_CALL_S = 10.0
STEP_TOKENS = 32
FIRST_TOKENS = 64  # enough to measure the machine's speed


class PrefillChunker:
    """Adapts the size of calls to the machine's measured speed.

    The weights are read once a call, so small ones are slow (64 tokens take 8 % more time than 256,
    32 take 20 %). But one call is one report of progress, for which the host waits a minute. So it
    is a full micro-batch, and smaller only on machines that do not compute that in time.
    """

    def __init__(self, micro_batch: int) -> None:
        self._most = micro_batch
        self._chunk = min(FIRST_TOKENS, micro_batch)

    def chunk_tokens(self) -> int:
        """Return the tokens of the next call."""
        return self._chunk

    def observe(self, tokens: int, seconds: float) -> None:
        """Record the time of a call.

        Short calls are ignored: they say too little about the speed of long ones.
        """
        if tokens < min(STEP_TOKENS, self._most) or seconds <= 0.0:
            return
        in_time = int(tokens / seconds * TARGET_CALL_S) // STEP_TOKENS * STEP_TOKENS
        self._chunk = min(self._most, max(STEP_TOKENS, in_time))


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
