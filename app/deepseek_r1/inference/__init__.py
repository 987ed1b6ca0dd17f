"""The façade of the library: loads a model and generates with it."""

from __future__ import annotations

from deepseek_r1.engine.interface import GenerationResult
from deepseek_r1.inference.async_inference import AsyncCPUInference
from deepseek_r1.inference.cpu_inference import CPUInference
from deepseek_r1.inference.loading import process_share

Answer = GenerationResult  # the name of the first published version

__all__ = ["Answer", "AsyncCPUInference", "CPUInference", "GenerationResult", "process_share"]
