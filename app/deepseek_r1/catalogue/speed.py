"""Estimates the decode speed of a model from the memory's speed, before a download.

The estimate is shown as a range. Decoding a token reads all weights except the embedding table
once. Either memory bandwidth or the cores' arithmetic is the bound (`memory.disk_throughput`).
"""

from __future__ import annotations

from dataclasses import dataclass

from deepseek_r1.catalogue.known_models import KnownFile, KnownModel
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.memory.cost_model import token_weights_bytes
from deepseek_r1.memory.disk_throughput import CORE_MIB_S

_OF_MEMORY = 0.8  # of the speed of plain sequential reads
_LEAST, _MOST = 0.6, 1.3  # around the estimate, for other programs and processors
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class SpeedRange:
    """The lower and upper end of the expected speed in tokens per second."""

    least_tok_s: float
    most_tok_s: float


def expected_tok_s(header: ModelHeader, memory_mib_s: float, threads: int) -> float:
    """Tokens a second of a model that is in memory as a whole; 0 for an unknown memory speed."""
    read_mib = token_weights_bytes(header) / _MIB
    if not read_mib:
        return 0.0
    return min(memory_mib_s * _OF_MEMORY, threads * CORE_MIB_S) / read_mib


def expected_speed(
    model: KnownModel, file: KnownFile, memory_mib_s: float, threads: int
) -> SpeedRange:
    """The expected decode speed of `file` when all of it is in memory."""
    estimate = expected_tok_s(model.header(file), memory_mib_s, threads)
    return SpeedRange(estimate * _LEAST, estimate * _MOST)
