"""How fast a model runs from its drive: reading takes time, and some computing is not hidden by it.

Threads read ahead while others compute, but both want the same cores and the same memory: a drive
that fills it at 3 GiB/s is slower while weights are multiplied. So a token takes as long as the
drive needs for its weights, and a share of what computing it takes from memory alone.
`docs/performance.md` has the runs that the share comes from.
"""

from __future__ import annotations

from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.memory.costs import token_weights_bytes

# Measured on two cores of an EPYC, R1-Distill-Qwen-1.5B's true shape in Q4_K_M, all in memory: 23
# to 30 tokens a second at 56 to 69 GB/s of memory, that is 12 GB/s of weights for each core.
A_CORE_MIB_S = 12_000.0
# Measured as well: what tokens took beyond streamed bytes over the drive's speed, in what computing
# them would take by the line above. The median of sixteen runs, eight budgets of two models: 0.2 to
# 1.1 for the 1.5B, 0.5 to 1.8 for a 0.5B.
UNHIDDEN = 0.5
_MIB = 1 << 20


def unhidden_compute_s(header: ModelHeader, threads: int) -> float:
    """Seconds of a token's computing by `threads` cores that reading its weights does not hide."""
    return UNHIDDEN * token_weights_bytes(header) / _MIB / (threads * A_CORE_MIB_S)
