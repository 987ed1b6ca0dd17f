"""A model that runs from the disk: its counters as an event's value, and another budget for it."""

from __future__ import annotations

from deepseek_r1.core.events import Bill, WeightsStats
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.engine.base import Engine
from deepseek_r1.formats.gguf import ModelHeader
from deepseek_r1.memory.plan import WEIGHT_LINES, ProcessShare, plan_streamed, refuse_misfit


def stats_of(engine: Engine) -> WeightsStats | None:
    """The engine's counters since the load; None where all weights are in memory."""
    now = engine.weights_stats
    if now is None:
        return None
    return WeightsStats(
        pinned_mib=now.pinned_mib + now.experts_mib,
        streamed_mib=now.streamed_mib,
        read_mib=now.read_mib,
        io_wait_s=now.io_wait_s,
        hits=now.hits,
        misses=now.misses,
        expert_hits=now.expert_hits,
        expert_misses=now.expert_misses,
        strategy=now.strategy,
        told_apart=now.told_apart,
    )


def budgeted(
    header: ModelHeader, settings: LoadSettings, share: ProcessShare
) -> tuple[Bill, float]:
    """The bill under another budget, and what the weights may take of it, in MiB.

    Raises BudgetTooSmall.
    """
    bill = plan_streamed(header, settings, share)
    refuse_misfit(bill, header, settings, share)
    return bill, sum(line.planned_mib for line in bill.lines if line.name in WEIGHT_LINES)
