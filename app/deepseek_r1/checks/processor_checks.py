"""Checks the processor: instruction sets, usable cores, load, clock and power."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

from deepseek_r1.checks.finding import Finding, Severity
from deepseek_r1.core.i18n import tr, trn
from deepseek_r1.hardware import busy_cores, cpu
from deepseek_r1.hardware.linux import small_text
from deepseek_r1.hardware.processor import CpuFacts, battery
from deepseek_r1.memory.kernel_times import MEASURED_ROWS, KernelTimes, kept_times

# The instruction sets that llama.cpp has kernels for, best last.
KERNELS = (
    "sse4_2", "avx", "avx2", "avx512f", "avx512_vnni", "amx_int8", "asimd", "asimddp", "i8mm",
)  # fmt: skip
_ROOT = Path("/")


def check(root: Path = _ROOT) -> Iterator[Finding]:
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
