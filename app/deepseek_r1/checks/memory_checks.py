"""Checks memory: available and total, pressure, limits, swap and huge pages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from deepseek_r1.checks.finding import Finding, Severity
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.settings import LEAST_BUDGET_MIB, default_budget
from deepseek_r1.core.units import in_sentence
from deepseek_r1.hardware.linux import small_text
from deepseek_r1.hardware.pressure import MemoryReading, memory_reading

SHORT_PERCENT = 10.0
_MIB = 1 << 20
_ROOT = Path("/")


def check(root: Path = _ROOT) -> Iterator[Finding]:
    """Yields the findings in the order in which they are shown."""
    reading = memory_reading()
    yield memory_finding(reading, default_budget(reading.total_mib))
    yield pressure_finding(reading)
    yield from _limit(reading)
    yield from swap_finding()
    yield from _address_space()
    yield from _huge_pages(root)


def memory_finding(reading: MemoryReading, budget_mib: float) -> Finding:
    """Compares the available memory with the default budget and the least for any model."""
    value = tr(
        "{free} of {total} available",
        free=in_sentence(reading.available_mib),
        total=in_sentence(reading.total_mib),
    )
    none = tr("Close other programs: no model fits into what is left.")
    less = tr(
        "Less than the default budget of {budget}: close programs or lower the budget.",
        budget=in_sentence(budget_mib),
    )
    found = Finding("memory", tr("Memory"), value)
    found = found.where(reading.available_mib < LEAST_BUDGET_MIB, Severity.PROBLEM, none)
    return found.where(reading.available_mib < budget_mib, Severity.WARNING, less)


def pressure_finding(reading: MemoryReading) -> Finding:
    """Reports how long programs wait for memory."""
    value = tr(
        "some programs {some} % of the time, all programs {full} %",
        some=f"{reading.some_percent:.0f}",
        full=f"{reading.full_percent:.0f}",
    )
    short = reading.some_percent > SHORT_PERCENT or reading.alarm
    todo = tr("The system is short of memory. Close programs, or choose a smaller budget.")
    found = Finding("pressure", tr("Waiting for memory"), value)
    return found.where(short, Severity.WARNING, todo)


def _limit(reading: MemoryReading) -> Iterator[Finding]:
    whole = psutil.virtual_memory().total / _MIB
    if reading.total_mib < 0.95 * whole:
        value = tr("{memory}, set by a control group", memory=in_sentence(reading.total_mib))
        todo = tr("The default budget stays below it. Do not set a larger one.")
        yield Finding("memory_limit", tr("Memory limit"), value, Severity.NOTE, todo)


def swap_finding() -> Iterator[Finding]:
    """Reports swap in use: a computer that swaps already will swap the model as well."""
    title = tr("Swap of the system")
    try:
        swap = psutil.swap_memory()
    except RuntimeError as error:  # of Windows' performance counters
        todo = tr("Run “lodctr /R” as administrator: the performance counters do not answer.")
        yield Finding("swap", title, str(error), Severity.NOTE, todo)
        return
    if not swap.total:
        return
    used, total = swap.used / _MIB, swap.total / _MIB
    value = tr("{used} of {total} used", used=in_sentence(used), total=in_sentence(total))
    todo = tr("Some programs were moved to the disk. Close the ones you do not need.")
    yield Finding("swap", title, value).where(used > total / 2, Severity.WARNING, todo)


def _address_space() -> Iterator[Finding]:
    """Warns of a limit on address space, of which streaming reserves much more than memory."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - not on Windows

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY:
        return
    todo = tr("Start the program where “ulimit -v” is unlimited.")
    value = in_sentence(soft / _MIB)
    yield Finding("address_space", tr("Limit of address space"), value, Severity.WARNING, todo)


def _huge_pages(root: Path) -> Iterator[Finding]:
    text = small_text(root / "sys/kernel/mm/transparent_hugepage/enabled")
    if not text:
        return
    chosen = text.partition("[")[2].partition("]")[0]
    todo = tr("“madvise” or “always” makes the engine a little faster.")
    found = Finding("huge_pages", tr("Transparent huge pages"), chosen)
    yield found.where(chosen == "never", Severity.NOTE, todo)
