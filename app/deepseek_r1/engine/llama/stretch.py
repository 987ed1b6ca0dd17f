"""Tokens of plain text, one after the other, without Python between two computations.

The loop is native (`native/writing.hpp`). What need not be done for every token is done here, once
a stretch.
"""

from __future__ import annotations

import ctypes
import time
from typing import Any

from deepseek_r1.engine.answer import TAG_END, AnswerWriter
from deepseek_r1.engine.llama.context import LlamaContext
from deepseek_r1.engine.llama.library import Library
from deepseek_r1.engine.llama.model import LlamaModel
from deepseek_r1.native.library import Page, Writer, Written, native

LONGEST_S = 0.05  # then the engine shows that it lives, and takes up what was changed
_MOST = 256  # tokens of a stretch
_TEXT_BYTES = 4096


class Stretches:
    """Writes in a context, from one look at the token to the next. For the computing thread."""

    def __init__(self, library: Library, model: LlamaModel, context: LlamaContext) -> None:
        self._native, self._context, api = native(), context, library.api
        self.loop = Writer(
            decode=_address(api.llama_decode),
            sampler_sample=_address(api.llama_sampler_sample),
            vocab_is_eog=_address(api.llama_vocab_is_eog),
            token_to_piece=_address(api.llama_token_to_piece),
            context=_address(context.pointer),
            vocabulary=_address(model.vocab),
            one=context.native_batch_of_one,
            token=ctypes.addressof(context.one),
        )
        """What the native loop works with."""
        self._tokens = (ctypes.c_int * (_MOST + 2))()
        self._times_s = (ctypes.c_double * (_MOST + 1))()
        self._text = ctypes.create_string_buffer(_TEXT_BYTES)
        places = (ctypes.addressof(each) for each in (self._tokens, self._times_s, self._text))
        self._page, self._written = Page(*places, _TEXT_BYTES), Written()
        self.times_s: list[float] = []
        """What each token of the last stretch took, in seconds."""

    def write(self, token: int, chain: Any, writer: AnswerWriter, most: int) -> int:
        """Compute a token that was chosen, and choose the next with the samplers in `chain`.

        As long as that is plain text which may wait, it is told to the writer, computed, and so on:
        at most `most` are. Returns a token that was chosen, not told and not computed. Raises what
        the context raises.
        """
        self._tokens[0], written = token, self._written
        for_s = min(writer.waits_until - time.perf_counter(), LONGEST_S)
        self._native.writer_write(
            self.loop, chain, self._page, min(most, _MOST), for_s, TAG_END, written
        )
        computed = written.computed
        self.times_s = self._times_s[:computed]
        self._context.cells += self._tokens[:computed]
        writer.heard(ctypes.string_at(self._text, written.text_bytes), written.told)
        self._context.check(written.status)
        chosen: int = self._tokens[computed]
        return chosen


def _address(pointer: Any) -> int:
    return ctypes.cast(pointer, ctypes.c_void_p).value or 0
