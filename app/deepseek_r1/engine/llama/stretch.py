"""Tokens of plain text, one after the other, with little between two computations.

A computation empties the processor's caches. So Python's part of a token costs not what its
instructions take but what they fetch, many times as much (`tests/bench_python_share.py`). What
need not be done for every token is done once a stretch.
"""

from __future__ import annotations

import time
from typing import Any

from deepseek_r1.engine.answer import TAG_END, AnswerWriter
from deepseek_r1.engine.llama.context import LlamaContext
from deepseek_r1.engine.llama.library import Library
from deepseek_r1.engine.llama.model import LlamaModel

LONGEST_S = 0.05  # then the engine shows that it lives, and takes up what was changed


class Stretches:
    """Writes in a context, from one look at the token to the next. For the computing thread."""

    def __init__(self, library: Library, model: LlamaModel, context: LlamaContext) -> None:
        self._sample = library.api.llama_sampler_sample
        self._says, self._context = model.says, context
        self.times_s: list[float] = []
        """What each token of the last stretch took, in seconds."""

    def write(self, token: int, chain: Any, writer: AnswerWriter, most: int) -> int:
        """Compute a token that was chosen, and choose the next with the samplers in `chain`.

        As long as that is plain text which may wait, it is told to the writer, computed, and so on:
        at most `most` are. Returns a token that was chosen, not told and not computed. Raises what
        the context raises.
        """
        compute, sample, says, clock = (
            self._context.compute_one, self._sample, self._says, time.perf_counter,
        )  # fmt: skip
        native, before = self._context.pointer, clock()
        until = min(writer.waits_until, before + LONGEST_S)
        said: list[bytes] = []
        times_s = self.times_s
        times_s.clear()
        try:
            while True:
                compute(token)
                token = sample(chain, native, -1)
                text, now = says(token), clock()
                times_s.append(now - before)
                if now >= until or len(said) >= most or text is None or TAG_END in text:
                    return token
                said.append(text)
                before = now
        finally:
            writer.heard(said)
