"""Predicts how fast a streamed model runs: reading takes time, and hides most of the computing.

Threads prefetch while others compute, but both use the same cores and the same memory: a drive that
fills memory at 3 GiB/s is slower while weights are multiplied. So a token takes as long as the
drive needs for its weights, plus a share of the time that computing it from memory alone would
take. `docs/performance.md` has its error.
"""

from __future__ import annotations

from deepseek_r1.core.events import Bill
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.memory.cost_model import token_weights_bytes
from deepseek_r1.memory.draft_costs import EXPECTED_DRAFT_TOKENS, EXPECTED_TOKENS_PER_PASS

# Measured on two cores of an EPYC, R1-Distill-Qwen-1.5B's true shape in Q4_K_M, all in memory: 23
# to 30 tokens a second at 56 to 69 GB/s of memory, that is 12 GB/s of weights for each core.
CORE_MIB_S = 12_000.0
# Measured: the time that tokens took beyond streamed bytes over the drive's speed, as a share of
# computing them by the line above. The median of sixteen runs, eight budgets of two models: 0.2 to
# 1.1 for the 1.5B, 0.5 to 1.8 for a 0.5B.
UNHIDDEN_SHARE = 0.5
_MIB = 1 << 20


def unhidden_compute_s(header: ModelHeader, threads: int) -> float:
    """Seconds per token that `threads` cores compute and that reading its weights does not hide."""
    return UNHIDDEN_SHARE * token_weights_bytes(header) / _MIB / (threads * CORE_MIB_S)


def undrafted_tok_s(bill: Bill) -> float:
    """The expected tokens per second without a draft model, by a bill that has none.

    Where nothing is read in a short conversation, computing is all that a token takes.
    """
    return bill.disk_tok_s or UNHIDDEN_SHARE / bill.compute_s


def drafted_tok_s(bill: Bill, draft_mib: float, threads: int) -> float:
    """The expected tokens per second of a streamed model with a draft model.

    A pass computes the drafted tokens too, which reading hides as far as it takes longer; drafting
    them takes as long as reading the draft model from memory, once for each.
    """
    read_s = bill.short_streamed_mib / bill.disk_mib_s
    rows_s = (1 + EXPECTED_DRAFT_TOKENS) * bill.compute_s / UNHIDDEN_SHARE
    draft_s = EXPECTED_DRAFT_TOKENS * draft_mib / (threads * CORE_MIB_S)
    return EXPECTED_TOKENS_PER_PASS / (max(read_s + bill.compute_s, rows_s) + draft_s)
