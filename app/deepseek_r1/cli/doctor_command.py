"""The command `deepseek-r1 doctor`: checks this computer and says what to do."""

from __future__ import annotations

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
from deepseek_r1.cli.generation_progress import show_progress
from deepseek_r1.core.errors import EngineStartFailed, WrongUsage
from deepseek_r1.core.events import ThreadsMeasured
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.paths import profile_dir, starter_model
from deepseek_r1.core.settings import LoadSettings
from deepseek_r1.engine.protocol.engine_names import package_version
from deepseek_r1.hardware.pressure import memory_reading
from deepseek_r1.host.client import EngineClient

_MARKS = {Severity.OK: "✓", Severity.NOTE: "·", Severity.WARNING: "!", Severity.PROBLEM: "✗"}


@command(
    "doctor",
    tr("Check this computer and say what to do. Exit status 1 where something does not work."),
)
@flag(
    "--measure-threads",
    tr("Load the model and find the best thread counts on this computer; about 20 seconds."),
)
@o.model_option
@o.json_option
def doctor(*, measure_threads: bool, model: Path | None, as_json: bool) -> None:
    """Check this computer and say what to do. Exit status 1 where something does not work."""
    if model is not None and not measure_threads:
        raise WrongUsage(detail=tr("--model belongs to --measure-threads."))
    if measure_threads and not as_json:
        _show_threads(_measured(o.chosen_model(model).absolute()))
        return
    kernel = _kernel()
    findings = [_kernel_finding(kernel), *examine()]
    verdict = worst(findings)
    if as_json:
        found = report(kernel, findings)
        if measure_threads:
            measured = _measured(o.chosen_model(model).absolute())
            found["threads_measured"] = measured.model_dump(exclude={"kind"})
        console.result_json(found)
    else:
        for finding in findings:
            console.result(f"{_MARKS[finding.verdict]} {finding.title}: {finding.value}")
            if finding.todo:
                console.result(f"    {finding.todo}")
    if verdict is Severity.PROBLEM:
        raise SystemExit(1)


def _measured(path: Path) -> ThreadsMeasured:
    """Measure the model in the engine's process with all of the computer's memory."""
    budget = int(min(hardware.machine_memory_mib(), LoadSettings.bounds("memory_budget")[1]))
    settings = LoadSettings(memory_budget=budget, swap_enabled=True)
    with EngineClient() as engine:
        engine.load(path, settings, window_mib=o.COMMAND_LINE_MIB, on_event=show_progress)
        console.status(tr("Measuring with different numbers of threads…"))
        measured = engine.measure_threads()
    console.status("")
    return measured


def _show_threads(measured: ThreadsMeasured) -> None:
    for count, rate in sorted(measured.decode_tok_s.items()):
        console.result(
            tr(
                "Threads {n}: {written} tokens/s written, {read} tokens/s read",
                n=count,
                written=f"{rate:.1f}",
                read=f"{measured.prefill_tok_s[count]:.1f}",
            )
        )
    console.result(
        tr(
            "Kept for this model: {threads} for writing, {all} for reading.",
            threads=measured.threads,
            all=measured.threads_prefill,
        )
    )


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
        todo = tr(
            "Install the application again. If that does not help, report the problem with the log."
        )
        return Finding("kernel", tr("Kernel"), str(kernel["error"]), Severity.PROBLEM, todo)
    name = kernel["variant"] or tr("built for this machine")
    return Finding("kernel", tr("Kernel"), f"{name}: {', '.join(kernel['features'])}")
