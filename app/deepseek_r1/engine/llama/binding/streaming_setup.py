"""Sets up weight streaming for a model that does not fit."""

from __future__ import annotations

from deepseek_r1.core.errors import ModelLoadFailed
from deepseek_r1.engine.llama.binding.library import Library
from deepseek_r1.engine.protocol.base import OpenRequest
from deepseek_r1.memory.cost_model import chunk_bytes
from deepseek_r1.weights.streaming.streamed_weights import StreamedWeights, WeightsUnreadableError


def make_streamed_weights(library: Library, request: OpenRequest) -> StreamedWeights | None:
    """The weights of a model that is streamed; None for one that is in memory whole.

    Raises ModelLoadFailed, StreamingUnavailable.
    """
    if request.residency is None:
        return None
    try:
        return StreamedWeights(
            library.functions,
            request.header,
            request.residency,
            strategy=request.settings.cache_strategy,
            chunk_bytes=chunk_bytes(request.settings),
        )
    except WeightsUnreadableError as error:
        raise ModelLoadFailed(path=str(request.header.path), detail=str(error)) from error
