"""Computes the log probabilities of sampled tokens. Imports numpy: load it when they are wanted."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deepseek_r1.core.events import TokenLogprob
from deepseek_r1.core.settings import SamplingSettings
from deepseek_r1.engine.llama.binding.library import Library
from deepseek_r1.engine.llama.binding.model import LlamaModel


class LogprobReader:
    """Reads the logits of a context. For the computing thread, after a token was sampled."""

    def __init__(
        self, library: Library, model: LlamaModel, context: Any, sampling: SamplingSettings
    ) -> None:
        """`context` is llama.cpp's pointer."""
        self._api, self._model, self._context = library.api, model, context
        self._top = sampling.top_logprobs

    def read(self, token: int, row: int) -> TokenLogprob:
        """Return a token's log probability from row `row` of the last computation's logits."""
        pointer = self._api.llama_get_logits_ith(self._context, row)
        logits = np.ctypeslib.as_array(pointer, (self._model.vocabulary,)).astype(np.float64)
        highest = logits.max()
        logprobs = logits - (highest + np.log(np.exp(logits - highest).sum()))
        top = tuple(self._entry(int(each), logprobs) for each in _largest(logprobs, self._top))
        return self._entry(token, logprobs).model_copy(update={"top": top})

    def _entry(self, token: int, logprobs: npt.NDArray[np.float64]) -> TokenLogprob:
        text = self._model.piece(token)
        return TokenLogprob(token=token, data=tuple(text), logprob=float(logprobs[token]))


def _largest(values: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.intp]:
    """Return the indices of the `count` largest values, the largest first."""
    if not count:
        return np.empty(0, dtype=np.intp)
    most = np.argpartition(values, -count)[-count:]
    return most[np.argsort(-values[most])]
