"""Budgets of tests, which leave for weights what they leave on any machine."""

import sys
from functools import cache
from pathlib import Path

from deepseek_r1.core.events import BillItem
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.formats.gguf import read_header
from deepseek_r1.host.client import EngineClient
from deepseek_r1.memory.plan import ProcessOverhead, plan

# Where a test computes in pytest's own process, the budget counts that whole process, which may
# have grown to a gigabyte before. That a small budget is kept is tested where a process of its own
# converts.
ROOMY_MIB = 4096


@cache
def engine_extra_mib(model: Path) -> float:
    """What the engine's process takes on this system beyond the plan's constant, Linux's, in MiB.

    A test gives so much less to the window, and its budget leaves for weights what it does there.
    """
    if sys.platform == "linux":
        return 0.0
    settings = LoadSettings(memory_budget=ROOMY_MIB, context_length=512)
    with EngineClient() as engine:
        measured = engine.load(model, settings, window_mib=0.0).bill
    planned = plan(read_header(model), settings, ProcessOverhead()).bill
    return measured.mib_of(BillItem.RUNTIME) - planned.mib_of(BillItem.RUNTIME)
