"""Decodes tokens of plain text in native code, without Python between two computations.

The loop is native (`native/decode_loop.hpp`). Work that need not be done for every token is done
here, once a run.
"""

from __future__ import annotations

import ctypes
import time
from typing import Any

from deepseek_r1.engine.llama.binding.context import LlamaContext
from deepseek_r1.engine.llama.binding.library import Library
from deepseek_r1.engine.llama.binding.model import LlamaModel
from deepseek_r1.engine.output.generation_output import TAG_LAST_BYTE, GenerationOutput
from deepseek_r1.native.native_library import DecodeBuffers, DecodeResult, LlamaFunctions, native

MAX_RUN_S = 0.05  # then the engine reports progress and applies changed settings
_MAX_TOKENS = 256  # of a run
_TEXT_BYTES = 4096


class DecodeLoop:
    """Runs the native loop on a context. For the computing thread."""

    def __init__(self, library: Library, model: LlamaModel, context: LlamaContext) -> None:
        self._native, self._context, api = native(), context, library.api
        self.loop = LlamaFunctions(
            decode=_address(api.llama_decode),
            sampler_sample=_address(api.llama_sampler_sample),
            vocab_is_eog=_address(api.llama_vocab_is_eog),
            token_to_piece=_address(api.llama_token_to_piece),
            context=_address(context.pointer),
            vocabulary=_address(model.vocab),
            one=context.single_token_batch,
            token=ctypes.addressof(context.one),
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
        return self.last_token


def _address(pointer: Any) -> int:
    return ctypes.cast(pointer, ctypes.c_void_p).value or 0
