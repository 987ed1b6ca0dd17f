"""DeepSeek-R1 and its kin on a laptop's CPU, inside one memory budget.

    from deepseek_r1 import CPUInference
    model = CPUInference(model_path="model.gguf", thread_count=4)
    print(model.generate("Why is the sky blue?", max_tokens=256, temperature=0))

Importing the package loads neither Qt nor a native library; `CPUInference` does, when first used.
All errors are subclasses of `R1Error`; `deepseek_r1.errors` has each of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from deepseek_r1.core import VERSION as __version__  # noqa: N811 - Python's name for it

if TYPE_CHECKING:
    from deepseek_r1 import errors
    from deepseek_r1.core.errors import (
        EngineBusy,
        EngineFailed,
        ModelRefused,
        PromptTooLong,
        R1Error,
        WrongUsage,
    )
    from deepseek_r1.core.events import (
        AnswerDelta,
        FinishReason,
        GenerationFinished,
        GenerationStats,
        PrefillProgress,
        ThinkingDelta,
        ThinkingFinished,
        TokenLogprob,
    )
    from deepseek_r1.core.messages import Message, PartialAnswer, RawPrompt, Role
    from deepseek_r1.core.paths import starter_model
    from deepseek_r1.core.settings import LoadSettings, SamplingSettings
    from deepseek_r1.engine.interface import GenerationResult
    from deepseek_r1.engine.prompt.template import template_names
    from deepseek_r1.host.comparison import (
        Candidate,
        CandidateEnded,
        CandidateEvent,
        CandidateFailed,
        ComparisonPlanned,
        compare,
    )
    from deepseek_r1.inference import AsyncCPUInference, CPUInference

__all__ = [
    "AnswerDelta",
    "AsyncCPUInference",
    "CPUInference",
    "Candidate",
    "CandidateEnded",
    "CandidateEvent",
    "CandidateFailed",
    "ComparisonPlanned",
    "EngineBusy",
    "EngineFailed",
    "FinishReason",
    "GenerationFinished",
    "GenerationResult",
    "GenerationStats",
    "LoadSettings",
    "Message",
    "ModelRefused",
    "PartialAnswer",
    "PrefillProgress",
    "PromptTooLong",
    "R1Error",
    "RawPrompt",
    "Role",
    "SamplingSettings",
    "ThinkingDelta",
    "ThinkingFinished",
    "TokenLogprob",
    "WrongUsage",
    "__version__",
    "compare",
    "errors",
    "starter_model",
    "template_names",
]

# The names above are imported when first used.
_MODULES = {
    "core.errors": (
        "EngineBusy", "EngineFailed", "ModelRefused", "PromptTooLong", "R1Error", "WrongUsage",
    ),
    "core.events": (
        "AnswerDelta", "FinishReason", "GenerationFinished", "GenerationStats", "PrefillProgress",
        "ThinkingDelta", "ThinkingFinished", "TokenLogprob",
    ),
    "core.messages": ("Message", "PartialAnswer", "RawPrompt", "Role"),
    "core.paths": ("starter_model",),
    "core.settings": ("LoadSettings", "SamplingSettings"),
    "engine.interface": ("GenerationResult",),
    "engine.prompt.template": ("template_names",),
    "host.comparison": (
        "Candidate", "CandidateEnded", "CandidateEvent", "CandidateFailed", "ComparisonPlanned",
        "compare",
    ),
    "inference": ("AsyncCPUInference", "CPUInference"),
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("deepseek_r1.errors")
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"deepseek_r1.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
