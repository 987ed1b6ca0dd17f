"""Tokens of plain text, one after the other, without Python between two computations.

The loop is native (`native/writing.hpp`). What need not be done for every token is done here, once
a stretch: only tokens that were seen to say nothing but text are left to the loop.
"""

from __future__ import annotations

import ctypes
import time
from typing import Any

from deepseek_r1.engine.answer import TAG_END, AnswerWriter
from deepseek_r1.engine.llama.context import LlamaContext
from deepseek_r1.engine.llama.library import Library
from deepseek_r1.engine.llama.model import LlamaModel
from deepseek_r1.native.library import Writer as NativeWriter
from deepseek_r1.native.library import Written, native

LONGEST_S = 0.05  # then the engine shows that it lives, and takes up what was changed
_MOST = 256  # tokens of a stretch


class Stretches:
    """Writes in a context, from one look at the token to the next. For the computing thread."""

    def __init__(self, library: Library, model: LlamaModel, context: LlamaContext) -> None:
        self._native, self._says, self._context = native(), model.says, context
        self._plain = (ctypes.c_uint8 * model.vocabulary)()
        self.loop = NativeWriter(
            decode=_address(library.api.llama_decode),
            sample=_address(library.api.llama_sampler_sample),
            context=_address(context.pointer),
            one=context.native_batch_of_one,
            token=ctypes.addressof(context.one),
            plain=ctypes.addressof(self._plain),
            vocabulary=model.vocabulary,
        )
        """What the native loop works with."""
        self._tokens = (ctypes.c_int * (_MOST + 2))()
        self._times_s = (ctypes.c_double * (_MOST + 1))()
        self._written = Written()
        self.times_s: list[float] = []
        """What each token of the last stretch took, in seconds."""

    def write(self, token: int, chain: Any, writer: AnswerWriter, most: int) -> int:
        """Compute a token that was chosen, and choose the next with the samplers in `chain`.

        As long as that is plain text which may wait, it is told to the writer, computed, and so on:
        at most `most` are. Returns a token that was chosen, not told and not computed. Raises what
        the context raises.
        """
        tokens, written = self._tokens, self._written
        tokens[0] = token
        for_s = min(writer.waits_until - time.perf_counter(), LONGEST_S)
        self._native.writer_write(
            self.loop, chain, tokens, self._times_s, min(most, _MOST), for_s, written
        )
        computed = written.computed
        self.times_s = self._times_s[:computed]
        self._context.cells += tokens[:computed]
        # Where computing failed, the token that it failed with was said as well.
        told = tokens[1 : computed + (written.status != 0)]
        writer.heard([self._said(each) for each in told])
        self._context.check(written.status)
        chosen: int = tokens[computed]
        text = self._says(chosen)
        if text is not None and TAG_END not in text:
            self._plain[chosen] = 1
        return chosen

    def _said(self, token: int) -> bytes:
        """Of a token that is known to be plain."""
        return self._says(token) or b""


def _address(pointer: Any) -> int:
    return ctypes.cast(pointer, ctypes.c_void_p).value or 0
