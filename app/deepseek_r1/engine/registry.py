"""Which engine opens which file.

The file's first bytes decide: GGUF from its second version on is llama.cpp's; its first version
and the formats before it are read by ctransformers alone.
"""

from __future__ import annotations

from deepseek_r1.engine.base import Engine, OpenRequest


def open_engine(request: OpenRequest) -> Engine:
    """Load the model with the engine that reads its format.

    Raises ModelRefused or EngineStartFailed.
    """
    if request.header.legacy:
        from deepseek_r1.engine.legacy.runner import LegacyEngine  # noqa: PLC0415 - native, so late

        return LegacyEngine(request)
    from deepseek_r1.engine.llama.runner import LlamaEngine  # noqa: PLC0415 - native, so late

    return LlamaEngine(request)


def load_library(*, legacy: bool) -> None:
    """Bring the engine's library into this process. Raises EngineStartFailed."""
    if legacy:
        from deepseek_r1.engine.legacy.library import library as old  # noqa: PLC0415 - native

        old()
    else:
        from deepseek_r1.engine.llama.library import library as new  # noqa: PLC0415 - native

        new()
