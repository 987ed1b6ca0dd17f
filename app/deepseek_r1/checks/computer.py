"""Checks the computer: processor, load, clock and power; memory, pressure, limits and swap."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from deepseek_r1.checks.finding import Finding, Severity
from deepseek_r1.core.i18n import tr, trn
from deepseek_r1.core.settings import LEAST_BUDGET_MIB, default_budget
from deepseek_r1.core.units import in_sentence
from deepseek_r1.hardware import busy_cores, cpu
from deepseek_r1.hardware.linux import small_text
from deepseek_r1.hardware.pressure import MemoryReading, memory_reading
from deepseek_r1.hardware.processor import CpuFacts, battery
from deepseek_r1.memory.kernel_times import MEASURED_ROWS, KernelTimes, kept_times

# The instruction sets that llama.cpp has kernels for, best last.
KERNELS = (
    "sse4_2", "avx", "avx2", "avx512f", "avx512_vnni", "amx_int8", "asimd", "asimddp", "i8mm",
)  # fmt: skip
_ROOT = Path("/")
_MIB = 1 << 20


def check_processor(root: Path = _ROOT) -> Iterator[Finding]:
    """Yields the findings in the order in which they are shown."""
    facts = cpu()
    yield _instructions(facts)
    yield _cores(facts)
    yield _busy(facts)
    yield from _kernels(kept_times())
    yield from _microcode(root)
    yield from _nodes(root)
    yield from _clock(root)
    yield from _power()


def _instructions(facts: CpuFacts) -> Finding:
    known = [name for name in KERNELS if name in facts.features]
    value = f"{facts.name}: {', '.join(known) or '–'}"
    intel = platform.machine().lower() in ("x86_64", "amd64")
    avx2 = tr("Without AVX2 a model runs several times slower. Choose the smallest model.")
    dot = tr("Without the dot product instructions a model runs slower. Choose a small one.")
    found = Finding("processor", tr("Processor"), value)
    found = found.where(intel and "avx2" not in known, Severity.WARNING, avx2)
    return found.where(not intel and "asimddp" not in known, Severity.NOTE, dot)


def _cores(facts: CpuFacts) -> Finding:
    value = tr(
        "{physical} cores, {fast} of them fast; threads for writing {threads}, for reading {all}",
        physical=facts.physical_cores,
        fast=facts.performance_cores,
        threads=facts.threads,
        all=facts.threads_prefill,
    )
    few = tr("This program may use only {n} of them.", n=facts.usable_cores)
    one = tr("With one core, the window and the model take turns. Choose a small model.")
    found = Finding("cores", tr("Cores"), value)
    found = found.where(facts.usable_cores < facts.physical_cores, Severity.NOTE, few)
    return found.where(facts.usable_cores == 1, Severity.WARNING, one)


def _busy(facts: CpuFacts) -> Finding:
    """Reports other programs' load, which slows a model more than its share: threads wait."""
    load = busy_cores()
    cores = facts.usable_cores
    busy = f"{min(load, cores):.1f}"  # more programs may wait than there are cores
    value = tr("{n} of {cores} cores busy in the last minute", n=busy, cores=cores)
    todo = tr("Close programs that compute in the background, or set fewer threads for writing.")
    found = Finding("load", tr("Other programs"), value)
    return found.where(load > 0.5 * cores, Severity.WARNING, todo)


def _kernels(times: KernelTimes) -> Iterator[Finding]:
    """Reports what was measured of each type of weights: who multiplies how many rows."""
    for kind, found in sorted(times.types.items()):
        least, most = found.our_rows
        value = tr("{least} to {most} tokens by our kernels", least=least, most=most)
        if most > MEASURED_ROWS[-1]:
            value = tr("{least} tokens and more by our kernels", least=least)
        elif not most:
            value = tr("by llama.cpp")
        if found.repacked and found.turn(repacked=True) < found.turn(repacked=False):
            value = tr("by llama.cpp, repacked for this processor")
        yield Finding("kernels", tr("Weights in {type}", type=kind), value)


def _microcode(root: Path) -> Iterator[Finding]:
    for line in small_text(root / "proc/cpuinfo").splitlines():
        if line.startswith("microcode"):
            value = line.partition(":")[2].strip()
            virtual = value.lower() in ("0x1", "0xffffffff")
            note = tr("{value} (a virtual machine)", value=value) if virtual else value
            yield Finding("microcode", tr("Microcode"), note)
            return


def _nodes(root: Path) -> Iterator[Finding]:
    nodes = sorted((root / "sys/devices/system/node").glob("node[0-9]*"))
    if not nodes:
        return
    value = trn("{n} node", "{n} nodes", len(nodes))
    todo = tr("Memory of another node is slower. Start with “numactl -N 0 -m 0” to stay on one.")
    found = Finding("numa", tr("Memory nodes (NUMA)"), value)
    yield found.where(len(nodes) > 1, Severity.NOTE, todo)


def _clock(root: Path) -> Iterator[Finding]:
    governor = small_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if not governor:
        return
    driver = small_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_driver")
    quick = driver.startswith(("intel_pstate", "amd-pstate"))  # whose "powersave" is quick
    slow = governor in ("powersave", "conservative") and not quick
    todo = tr("The clock is held low. Choose the power profile “balanced” or “performance”.")
    yield Finding("clock", tr("Clock"), governor).where(slow, Severity.WARNING, todo)


def _power() -> Iterator[Finding]:
    charge = battery()
    if charge is None:
        return
    todo = tr("On battery the processor is slowed down. Plug in for full speed.")
    found = Finding("power", tr("Battery"), f"{round(charge.percent)} %")
    yield found.where(charge.power_plugged is False, Severity.NOTE, todo)


SHORT_PERCENT = 10.0


def check_memory(root: Path = _ROOT) -> Iterator[Finding]:
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
