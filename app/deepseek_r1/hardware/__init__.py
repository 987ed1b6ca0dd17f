"""Describes this machine: its processor, the cores that we may use, its memory.

Limits count as the machine: a process that may use two cores and 4 GB has two cores and 4 GB.
"""

from deepseek_r1.hardware.pressure import machine_memory_mib
from deepseek_r1.hardware.processor import busy_cores, converts_f16_slowly, cpu, packs_weights

__all__ = ["busy_cores", "converts_f16_slowly", "cpu", "machine_memory_mib", "packs_weights"]
