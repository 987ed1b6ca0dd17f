"""The one front of the library: load a model, ask it."""

from __future__ import annotations

from deepseek_r1.engine.base import Answer
from deepseek_r1.inference.model import CPUInference
from deepseek_r1.inference.share import process_share

__all__ = ["Answer", "CPUInference", "process_share"]
