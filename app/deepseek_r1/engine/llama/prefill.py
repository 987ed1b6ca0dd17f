"""Prefills prompts: paces them, keeps what the cells hold of them, and computes the rest."""

import time
from collections.abc import Collection, Iterator, Sequence

from deepseek_r1.core.events import PrefillProgress
from deepseek_r1.engine.llama.binding.context import AbortedError
from deepseek_r1.engine.llama.computing import Computing
from deepseek_r1.engine.llama.prompt_cache.checkpoint_cache import CHECKPOINT_TOKENS
from deepseek_r1.engine.llama.prompt_cache.prefix_cache import PrefixCache, PromptPieces
from deepseek_r1.engine.output.generation_output import GenerationOutput
from deepseek_r1.engine.prompt.prompt_builder import common_length
from deepseek_r1.memory.plan import DECODE_ROWS

TARGET_CALL_S = 10.0
STEP_TOKENS = 32
FIRST_TOKENS = 64  # enough to measure the machine's speed
SAVE_EVERY_S = 20.0  # of a long preparation: so much is lost where the power fails


class PrefillChunker:
    """Adapts the size of calls to the machine's measured speed.

    The weights are read once a call, so small ones are slow (64 tokens take 8 % more time than 256,
    32 take 20 %). But one call is one report of progress, for which the host waits a minute. So it
    is a full micro-batch, and smaller only on machines that do not compute that in time.
    """

    def __init__(self, micro_batch: int) -> None:
        self._most = micro_batch
        self.tokens = min(FIRST_TOKENS, micro_batch)
        """The tokens of the next call."""

    def observe(self, tokens: int, seconds: float) -> None:
        """Record the time of a call.

        Short calls are ignored: they say too little about the speed of long ones.
        """
        if tokens < min(STEP_TOKENS, self._most) or seconds <= 0.0:
            return
        in_time = int(tokens / seconds * TARGET_CALL_S) // STEP_TOKENS * STEP_TOKENS
        self.tokens = min(self._most, max(STEP_TOKENS, in_time))


DELAY_S = 0.3  # by which prompts may prolong a step,
DELAY_SHARE = 0.1  # or this share of a step that takes long anyway
LEAST_TOKENS = 16
_NEW_WEIGHT = 0.25  # of a step without prompts in the moving average
_NEW_TOKEN_WEIGHT = 0.5  # of a step with prompts


class PrefillShare:
    """The number of prompt tokens in one step, by what they took so far.

    Only the time counts by which they prolong a step: where weights are read from the disk, many
    tokens take hardly longer than none. What more tokens would take is not known, so the number at
    most doubles from step to step.
    """

    def __init__(self) -> None:
        self.tokens = LEAST_TOKENS
        """The most tokens of the next step."""
        self._token_s: float | None = None  # by which a token prolongs a step
        self._plain_s = 0.0  # of a step without prompts; 0: there was none
        self._shortest_s = 0.0  # of all steps so far: stands for it until then

    def observe(self, prompt_tokens: int, seconds: float, *, alone: bool) -> None:
        """Record a step of `seconds` with so many tokens of prompts.

        `alone`: no answer was written in it, so it had as many tokens as there were. It counts as
        long as there was no other: with many tokens little of the reading is left to hide them.
        """
        if not prompt_tokens:
            weight = _NEW_WEIGHT if self._plain_s else 1.0
            self._plain_s += weight * (seconds - self._plain_s)
        elif prompt_tokens >= LEAST_TOKENS and not (alone and self._token_s is not None):
            self._set_tokens(prompt_tokens, seconds)
        self._shortest_s = min(self._shortest_s or seconds, seconds)

    def _set_tokens(self, observed: int, seconds: float) -> None:
        plain_s = self._plain_s or self._shortest_s
        token_s = max(0.0, seconds - plain_s) / observed
        if self._token_s is not None:
            token_s = self._token_s + _NEW_TOKEN_WEIGHT * (token_s - self._token_s)
        self._token_s = token_s
        most = max(self.tokens, 2 * observed)
        fitting = max(DELAY_S, DELAY_SHARE * plain_s) / token_s if token_s else most
        self.tokens = max(LEAST_TOKENS, round(min(fitting, most)))


_GENERATION_PROMPT = 16  # tokens at a prompt's end that the next turn's may not have
_AGAIN_SHARE = 4  # of the missing tokens, a quarter as many may be computed again for whole pieces


class PromptPrefill:
    """Fills sequence 0 of a context. For the computing thread."""

    def __init__(self, computing: Computing, prefix_cache: PrefixCache | None) -> None:
        """With a `prefix_cache` all prompts are computed in whole pieces; see `PromptPieces`."""
        self._computing, self._context = computing, computing.context
        self._prefix_cache = prefix_cache
        self._chunker = PrefillChunker(self._context.params.micro_batch)
        self._pieces = PromptPieces(self._context)

    def run(
        self,
        prompt: list[int],
        output: GenerationOutput,
        *,
        whole_pieces: bool,
        system_tokens: int = 0,
    ) -> Iterator[PrefillProgress]:
        """Prefill the prompt of an answer, whose `output` gets the counts and the time.

        With `whole_pieces` the cells depend on nothing but the prompt, which begins with
        `system_tokens` tokens that other chats have too. Raises AbortedError, EngineFailed.
        """
        total = len(prompt)
        if self._prefix_cache is not None:
            restored = self._prefix_cache.restore(prompt, total - 1, whole_pieces=whole_pieces)
            dropped = self._pieces.drop_others(most=self._missing(prompt) // _AGAIN_SHARE)
            output.restored_tokens = max(0, restored - dropped)
        else:  # the last token is computed in any case: the logits after it are needed
            kept = self._pieces.known(prompt[:-1], whole_pieces=whole_pieces)
            self._context.truncate(kept)
        self.keep_end()
        cached = output.cached_tokens = len(self._context.cells)
        yield PrefillProgress(done=cached, total=total, cached=cached)
        ends = (system_tokens, total - 1 - _GENERATION_PROMPT)
        for seconds in self.compute(prompt, whole_pieces=whole_pieces, kept=ends):
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

    def keep_end(self) -> None:
        """Make a checkpoint of a recurrent state behind the cells, unless one is near."""
        context, end = self._context, len(self._context.cells)
        if context.checkpoints is not None and end > self._pieces.size:
            found = context.checkpoints.before(end)
            if found is None or end - found.tokens > self._pieces.size:
                context.checkpoints.take(end, whole=context.whole_pieces >= end)

    def compute(
        self, prompt: list[int], *, whole_pieces: bool = False, kept: Sequence[int] = ()
    ) -> Iterator[float]:
        """Compute the tokens that the cells lack; yields the seconds of each computation.

        Computations are smaller while the machine is short of memory, unless the cells have to be
        filled in `whole_pieces`. A recurrent state is kept at the pieces' last ends before `kept`.
        """
        context = self._context
        ends = {each // self._pieces.size * self._pieces.size for each in kept}
        in_pieces = self._prefix_cache is not None or context.checkpoints is not None
        while (done := len(context.cells)) < len(prompt):
            self._computing.poll()
            most = context.most_tokens if whole_pieces else context.max_batch_tokens
            began = time.perf_counter()
            if whole_pieces or in_pieces:
                self._pieces.compute_next(prompt, most)
            else:
                context.compute(prompt[done : done + min(self._chunker.tokens, most)])
            seconds = time.perf_counter() - began
            self._chunker.observe(len(context.cells) - done, seconds)
            self._keep_state(ends)
            yield seconds

    def _keep_state(self, ends: Collection[int]) -> None:
        """Make a checkpoint where one is wanted; of a long text it goes to the disk at once."""
        context, end = self._context, len(self._context.cells)
        if context.checkpoints is None:
            return
        far = end % CHECKPOINT_TOKENS == 0
        if far or end in ends:
            taken = context.checkpoints.take(end, whole=context.whole_pieces >= end)
            if far and self._prefix_cache is not None and self._prefix_cache.points is not None:
                self._prefix_cache.points.save(taken)


class NextTurn:
    """Restores, computes and saves the prefix of the next prompt. For the computing thread."""

    def __init__(
        self,
        computing: Computing,
        prefix_cache: PrefixCache | None,
        prefill: PromptPrefill,
    ) -> None:
        self._computing, self._context = computing, computing.context
        self._prefix_cache, self._prefill = prefix_cache, prefill
        self._prefix: list[int] = []  # of the last preparation
        self._owner = ""

    def prepare(self, prefix: list[int], owner: str, *, compute: bool) -> Iterator[PrefillProgress]:
        """Restore the prefix, compute the rest if `compute`, and save it in the name of `owner`.

        A long one is saved on its way. A cancel ends it: what is saved and computed remains.
        """
        self._computing.in_background = True
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
                self._computing.begin_prefill(total + DECODE_ROWS)
                save_at = time.monotonic() + SAVE_EVERY_S
                for _ in self._prefill.compute(prefix, kept=(total,)):
                    if time.monotonic() >= save_at:
                        self._save_prefix()
                        save_at = time.monotonic() + SAVE_EVERY_S
                    done = len(self._context.cells)
                    yield PrefillProgress(done=done, total=total, cached=cached)
            if compute:
                self._prefill.keep_end()
            self._save_prefix()
        except AbortedError:
            return
        finally:
            self._computing.in_background = False
            self._computing.begin_decode()

    def save(self, seconds: float) -> None:
        try:
            self._save_prefix(time.monotonic() + seconds)
        except AbortedError:
            return

    def _save_prefix(self, until: float | None = None) -> None:
        if self._prefix_cache is not None and self._prefix:
            self._prefix_cache.save(self._prefix, self._owner, until)
