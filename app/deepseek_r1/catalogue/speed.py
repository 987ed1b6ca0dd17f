"""How fast a model will write, told from the memory's speed before anything is downloaded.

An estimate, and shown as a range. Writing a token reads all weights but the embedding table once.
Either the memory bounds that or the cores that multiply what comes (`memory.disk_pace`).
"""

from __future__ import annotations

from dataclasses import dataclass

from deepseek_r1.catalogue.models import KnownFile, KnownModel
from deepseek_r1.memory.disk_pace import A_CORE_MIB_S

_OF_MEMORY = 0.8  # of the speed that plain reading reaches
_LEAST, _MOST = 0.6, 1.3  # around the estimate; other programs, other processors
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class SpeedRange:
    """Tokens a second, between which the real speed is expected."""

    least_tok_s: float
    most_tok_s: float


def expected_speed(
    model: KnownModel, file: KnownFile, memory_mib_s: float, threads: int
) -> SpeedRange:
    """What `file` will reach when all of it is in memory."""
    tensors = model.header(file).tensors
    embedding = next(each.nbytes for each in tensors if each.name == "token_embd.weight")
    read_mib = (file.size_bytes - embedding) / _MIB
    estimate = min(memory_mib_s * _OF_MEMORY, threads * A_CORE_MIB_S) / read_mib
    return SpeedRange(estimate * _LEAST, estimate * _MOST)
