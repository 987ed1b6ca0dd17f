"""Which engine opens which file."""

from __future__ import annotations

from deepseek_r1.engine.base import Engine, OpenRequest


def open_engine(request: OpenRequest) -> Engine:
    """Load the model. Every file that has a `ModelHeader` is GGUF, which llama.cpp computes.

    Raises ModelRefused or EngineStartFailed.
    """
    from deepseek_r1.engine.llama.runner import LlamaEngine  # noqa: PLC0415 - native, so late

    return LlamaEngine(request)
