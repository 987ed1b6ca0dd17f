"""The command `deepseek-r1 doctor`: checks this computer and says what to do."""

import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deepseek_r1 import __version__, hardware
from deepseek_r1.checks import Finding, Severity, examine, worst
from deepseek_r1.checks.processor_checks import KERNELS
from deepseek_r1.cli import console
from deepseek_r1.cli import options as o
from deepseek_r1.cli.command import command, flag
from deepseek_r1.core.errors import EngineStartFailed
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.paths import profile_dir, starter_model
from deepseek_r1.engine.interface import package_version
from deepseek_r1.hardware.pressure import memory_reading

_MARKS = {Severity.OK: "✓", Severity.NOTE: "·", Severity.WARNING: "!", Severity.PROBLEM: "✗"}


@command(
    "doctor",
    tr("Check this computer and say what to do. Exit status 1 where something does not work."),
)
@flag(
    "--measure-graphics",
    tr("Measure whether a graphics processor reads prompts faster, with a model, and keep it."),
)
@o.model_option
@o.budget_option
@o.json_option
def doctor(
    *, measure_graphics: bool, model: Path | None, memory_budget: int, as_json: bool
) -> None:
    """Check this computer and say what to do. Exit status 1 where something does not work."""
    if measure_graphics:
        from deepseek_r1.cli.measure_graphics import measure  # noqa: PLC0415 - seldom used

        measure(o.chosen_model(model).absolute(), memory_budget, as_json=as_json)
        return
    kernel = _kernel()
    findings = [_kernel_finding(kernel), *examine()]
    verdict = worst(findings)
    if as_json:
        console.result_json(report(kernel, findings))
    else:
        for finding in findings:
            console.result(f"{_MARKS[finding.verdict]} {finding.title}: {finding.value}")
            if finding.todo:
                console.result(f"    {finding.todo}")
    if verdict is Severity.PROBLEM:
        raise SystemExit(1)


def report(kernel: dict[str, Any], findings: list[Finding]) -> dict[str, Any]:
    """Returns the JSON contract of `doctor`. Sizes (mb) are MiB."""
    cpu, memory = hardware.cpu(), memory_reading()
    profile, starter = profile_dir(), starter_model()
    existing = next(place for place in (profile, *profile.parents) if place.exists())
    return {
        "version": __version__,
        "llama_cpp": package_version("llama-cpp-python"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "cpu": {
            "name": cpu.name,
            "physical_cores": cpu.physical_cores,
            "logical_cores": cpu.logical_cores,
            "performance_cores": cpu.performance_cores,
            "threads": cpu.threads,
            "threads_prefill": cpu.threads_prefill,
            "kernels": [name for name in KERNELS if name in cpu.features],
        },
        "kernel": kernel,
        "memory": {
            "total_mb": round(memory.total_mib, 2),
            "available_mb": round(memory.available_mib, 2),
        },
        "starter_model": str(starter) if starter else "",
        "profile": str(profile),
        "profile_writable": os.access(existing, os.W_OK),
        "verdict": worst(findings).value,
        "findings": [asdict(finding) for finding in findings],
    }


def _kernel() -> dict[str, Any]:
    """Returns the CPU variant of llama.cpp that is loaded, or why none is."""
    from deepseek_r1.engine.llama.binding.library import library  # noqa: PLC0415 - loads native libraries

    try:
        kernel = library().cpu_variant
    except EngineStartFailed as failed:
        return {"variant": "", "features": [], "error": str(failed)}
    return {"variant": kernel.variant, "features": list(kernel.features), "error": ""}


def _kernel_finding(kernel: dict[str, Any]) -> Finding:
    if kernel["error"]:
        todo = tr("Install R1 Desk again. If that does not help, report the problem with the log.")
        return Finding("kernel", tr("Kernel"), str(kernel["error"]), Severity.PROBLEM, todo)
    name = kernel["variant"] or tr("built for this machine")
    return Finding("kernel", tr("Kernel"), f"{name}: {', '.join(kernel['features'])}")
