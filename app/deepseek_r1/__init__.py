"""DeepSeek-R1 and its kin on a laptop's CPU, inside one memory budget.

    from deepseek_r1 import CPUInference
    model = CPUInference(model_path="model.gguf", thread_count=4)
    print(model.generate("Why is the sky blue?", max_tokens=256))

Importing the package loads neither Qt nor a native library; `CPUInference` does, when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepseek_r1.inference import CPUInference

__version__ = "0.1.0"
__all__ = ["CPUInference", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "CPUInference":
        from deepseek_r1.inference import CPUInference  # noqa: PLC0415 - the native library waits

        return CPUInference
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
