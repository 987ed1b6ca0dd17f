"""Selects the engine for a model file.

The file's first bytes decide: llama.cpp opens GGUF from its second version on; ctransformers opens
its first version and the formats before it.
"""

from __future__ import annotations

from deepseek_r1.core import wings
from deepseek_r1.engine.protocol.base import Engine, OpenRequest


def open_engine(request: OpenRequest) -> Engine:
    """Load the model with the engine that reads its format.

    Raises ModelRefused, EngineStartFailed.
    """
    if request.header.legacy:
        engine: Engine = wings.entry("old_engine")(request)
        return engine
    from deepseek_r1.engine.llama.runner import LlamaEngine  # noqa: PLC0415 - native, so late

    return LlamaEngine(request)


def converts_f16_slowly() -> bool:
    """Whether llama.cpp's code is slow with f16 numbers. Loads it. Raises EngineStartFailed."""
    from deepseek_r1.engine.llama.binding.library import library  # noqa: PLC0415 - native, so late

    return library().cpu_variant.converts_f16_slowly


def load_library(*, legacy: bool) -> None:
    """Load the engine's library into this process. Raises EngineStartFailed."""
    if legacy:
        wings.entry("old_library")()
    else:
        from deepseek_r1.engine.llama.binding.library import library as new  # noqa: PLC0415 - native

        new()
