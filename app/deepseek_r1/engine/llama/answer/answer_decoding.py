"""Decodes one answer: samples and computes, and closes its thinking block where that has to end."""

import ctypes
import time
from collections.abc import Generator
from typing import Any

from deepseek_r1.core.errors import EngineStartFailed
from deepseek_r1.core.events import FinishReason, GenerationEvent, ThinkingEnd
from deepseek_r1.engine.llama.answer.answer import Answer
from deepseek_r1.engine.llama.answer.samplers import required
from deepseek_r1.engine.llama.binding.context import AbortedError, LlamaContext
from deepseek_r1.engine.llama.binding.library import Library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.engine.llama.speculative.verify import SpeculativeDecoder
from deepseek_r1.engine.output.generation_output import TAG_LAST_BYTE, GenerationOutput
from deepseek_r1.memory.plan import DECODE_ROWS
from deepseek_r1.native.native_library import (
    DecodeBuffers,
    DecodeResult,
    LlamaBatch,
    LlamaFunctions,
    native,
)
from deepseek_r1.weights.ggml.tensor_layout import address_of

MAX_RUN_S = 0.05  # then the engine reports progress and applies changed settings
_MAX_TOKENS = 256  # of a run
_TEXT_BYTES = 4096


class DecodeLoop:
    """Runs the native loop on a context. For the computing thread."""

    def __init__(self, library: Library, model: LlamaModel, context: LlamaContext) -> None:
        self._native, self._context, api = native(), context, library.api
        self._token = (api.llama_token * 1)()
        batch = api.llama_batch_get_one(self._token, 1)
        if ctypes.sizeof(LlamaBatch) != ctypes.sizeof(batch):
            raise EngineStartFailed(detail="llama.cpp lays out its batch in another way")
        self.loop = LlamaFunctions(
            decode=address_of(api.llama_decode),
            sampler_sample=address_of(api.llama_sampler_sample),
            vocab_is_eog=address_of(api.llama_vocab_is_eog),
            token_to_piece=address_of(api.llama_token_to_piece),
            context=address_of(context.pointer),
            vocabulary=address_of(model.vocab),
            one=LlamaBatch.from_buffer_copy(batch),
            token=ctypes.addressof(self._token),
        )
        """The functions and buffers of the native loop."""
        self._tokens = (ctypes.c_int * (_MAX_TOKENS + 2))()
        self._times_s = (ctypes.c_double * (_MAX_TOKENS + 1))()
        self._text = ctypes.create_string_buffer(_TEXT_BYTES)
        addresses = (ctypes.addressof(each) for each in (self._tokens, self._times_s, self._text))
        self._buffers, self._result = DecodeBuffers(*addresses, _TEXT_BYTES), DecodeResult()
        self.times_s: list[float] = []
        """The seconds that each token of the last run took."""
        self.text_tokens: list[int] = []
        self.text = b""
        """The text that the last run gave to the output, and its tokens."""
        self.last_token = 0
        """The last token of the last run, which was not computed; after a failure the output's."""

    def run(self, token: int, chain: Any, output: GenerationOutput, max_tokens: int) -> int:
        """Compute a chosen token, then sample the next with `chain`, for up to `max_tokens` tokens.

        The run goes on while the sampled tokens are plain text that may wait; that text is given to
        `output`. Returns the last sampled token, which is neither computed nor in the output.
        Raises AbortedError, EngineFailed.
        """
        self._tokens[0], result = token, self._result
        for_s = min(output.text_due_at - time.perf_counter(), MAX_RUN_S)
        with self._context.interruptible():
            self._native.decode_loop_run(
                self.loop,
                chain,
                self._buffers,
                min(max_tokens, _MAX_TOKENS),
                for_s,
                TAG_LAST_BYTE,
                result,
            )
        computed = result.computed
        self.times_s = self._times_s[:computed]
        self._context.cells += self._tokens[:computed]
        self.text_tokens = self._tokens[1 : 1 + result.text_tokens]
        self.text = ctypes.string_at(self._text, result.text_bytes)
        self.last_token = self._tokens[computed]
        output.on_text(self.text, result.text_tokens)
        self._context.check(result.status)
        return required(self.last_token)


_MOST_RESERVE = 256  # cells that thinking leaves for an answer
_RESERVE_SHARE = 8  # or this part of the context, if that is less


class AnswerDecoder:
    """Decodes an answer after its prompt is computed. For the computing thread.

    `end_thinking` may come from any thread.
    """

    def __init__(
        self, answer: Answer, loop: DecodeLoop, speculation: SpeculativeDecoder | None
    ) -> None:
        self._answer, self._output, self._samplers = answer, answer.output, answer.samplers
        self._loop, self._speculation = loop, speculation
        self._row = -1  # of the logits that the last token was sampled from
        self._model, self._computing = answer.parts.model, answer.parts.computing
        self._context = self._computing.context
        self._length = self._context.params.context_length
        self._thinking_length = self._length  # cells at which thinking ends
        self._aborted_for_end = self._running = False
        self.uncomputed: list[int] = []
        """The last tokens of the answer, while they are not in the cells."""

    def end_thinking(self) -> None:
        """Close the thinking block, in the middle of a computation too. From any thread."""
        self._answer.end_thinking()
        if self._running and self._output.thinking and self._model.can_truncate:
            self._aborted_for_end = True
            self._context.abort.set()

    def run(self) -> Generator[GenerationEvent, None, FinishReason]:
        """Decode until the answer ends. Raises AbortedError for a cancel, EngineFailed.

        llama.cpp divides long attention among the threads, and the sum depends a little on their
        number: where the answer has to be reproducible, the number stays.
        """
        self._running = True
        with_reserve = self._length - min(_MOST_RESERVE, self._length // _RESERVE_SHARE)
        if len(self._context.cells) < with_reserve:  # else the user wants it to think on
            self._thinking_length = with_reserve
        try:
            token = yield from self._first_token()
            while token is not None:
                while self._answer.has_to_go_on and self._model.is_end(token):
                    self._samplers.rule_out(token, self._row)
                    token = self._sample(self._row)
                piece = self._model.token_text(token)
                if events := self._output.on_token(piece, self._samplers.logprob(token, self._row)):
                    yield from events
                if piece is None or self._output.stopped:
                    return FinishReason.STOP
                self.uncomputed = [token]
                self._answer.observe([token], piece)
                if (reason := self._finish_reason()) is not None:
                    return reason
                if self._speculation is not None and self._speculation.verify(token):
                    self.uncomputed = []
                    token = self._sample(self._speculation.row)
                else:
                    token = yield from self._next_token(token)
            return FinishReason.CONTEXT
        finally:
            self._running = False

    def _sample(self, row: int) -> int:
        self._row = row
        return self._samplers.sample(row)

    def _first_token(self) -> Generator[GenerationEvent, None, int | None]:
        """Sample the first token, or close a thinking block that the prompt opened."""
        if (end := self._answer.thinking_end) is not None:
            self._computing.begin_decode()
            return (yield from self._close_thinking(end))
        token = self._sample(-1)
        self._computing.begin_decode()
        return token

    def _next_token(self, token: int) -> Generator[GenerationEvent, None, int | None]:
        """Compute `token` and return the one sampled after it.

        Closes the thinking block where it has to end; None where the context is too full for that.
        """
        while (end := self._answer.thinking_end) is None:
            try:
                return self._compute_and_sample(token)
            except AbortedError:
                self._resume()
                token = self.uncomputed[-1]
        return (yield from self._close_thinking(end))

    def _compute_and_sample(self, token: int) -> int:
        """One drafted pass, or one run of the decode loop where nothing is drafted."""
        speculation, loop, threads = self._speculation, self._loop, self._computing.threads
        governor = None if self._answer.sampling.reproducible else threads.governor
        self._computing.poll(governor)
        if speculation is not None and speculation.compute(token):
            chosen = self._sample(speculation.row)
            self.uncomputed = []
            return chosen
        self._row = -1
        try:
            chosen = loop.run(token, self._samplers.chain, self._output, self._tokens_left())
        except AbortedError:
            self.uncomputed = [loop.last_token]
            raise
        finally:
            self._answer.observe(loop.text_tokens, loop.text)
            if speculation is not None:
                speculation.observe(loop.times_s)
        self.uncomputed = []
        if governor is not None and loop.times_s:
            governor.observe(loop.times_s, time.perf_counter())
        return chosen

    def _tokens_left(self) -> int:
        """The most tokens of text after which this class has to decide again."""
        if self._samplers.until_answer:
            return 0
        if self._speculation is not None and self._speculation.reproducible:
            return 0  # the clock decides how long a run is, and drafts begin between runs
        left = min(self._answer.next_tokens, self._computing.cells_end - len(self._context.cells))
        if not self._output.thinking:
            left = min(left, self._answer.sampling.max_tokens - self._output.answer_tokens)
        else:
            left = min(left, self._thinking_length - len(self._context.cells))
            if (budget := self._answer.sampling.thinking_budget) is not None:
                left = min(left, budget - self._output.tokens)
        return max(0, left - 1)

    # ---- the end ----------------------------------------------------------------------------

    def _finish_reason(self) -> FinishReason | None:
        if (reason := self._answer.finish_reason) is not None:
            return reason
        most = self._thinking_length if self._output.thinking else self._length
        return FinishReason.CONTEXT if len(self._context.cells) >= most else None

    def _close_thinking(self, end: ThinkingEnd) -> Generator[GenerationEvent, None, int | None]:
        """Close the thinking block with the model's own tokens, then sample the answer's first.

        The events come first: computing the tokens may take long. None where the context is full.
        """
        if self._speculation is not None:
            self._speculation.close()
        closing = self.uncomputed + self._answer.parts.prompts.closing_tokens()
        if len(self._context.cells) + len(closing) >= self._length:
            return None
        yield from self._answer.close_thinking(end)
        self.uncomputed = closing
        while self.uncomputed:
            try:
                self._compute_some()
            except AbortedError:
                self._resume()
        return self._sample(-1)

    def _compute_some(self) -> None:
        most = min(DECODE_ROWS, self._context.max_batch_tokens)
        some = self.uncomputed[:most]
        self._computing.reserve(len(self._context.cells) + len(some))
        self._context.compute(some)
        del self.uncomputed[:most]

    def _resume(self) -> None:
        """Go on after an abort that ends the thinking. Raises AbortedError for a cancel."""
        if not self._aborted_for_end:
            raise AbortedError
        self._aborted_for_end = False
        self._context.abort.clear()
        if self._computing.cancelled:
            self._context.abort.set()
            raise AbortedError
