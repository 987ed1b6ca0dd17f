"""The command `deepseek-r1 doctor`: checks this computer and says what to do.

`--measure-graphics` measures whether a graphics processor reads prompts faster. Each run is an
ordinary load in the engine's process, whose watch ends it where a driver hangs.
"""

import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deepseek_r1 import __version__, hardware
from deepseek_r1.checks import Finding, Severity, examine, worst
from deepseek_r1.checks.computer import KERNELS
from deepseek_r1.cli import console
from deepseek_r1.cli import options as o
from deepseek_r1.cli.command import command, flag
from deepseek_r1.core.errors import EngineStartFailed, R1Error
from deepseek_r1.core.events import GenerationFinished, GraphicsUse
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import RawPrompt
from deepseek_r1.core.paths import profile_dir, starter_model
from deepseek_r1.core.settings import GRAPHICS_OFF, LoadSettings, SamplingSettings
from deepseek_r1.engine.interface import package_version
from deepseek_r1.formats.gguf import ModelHeader, read_header
from deepseek_r1.hardware import cpu
from deepseek_r1.hardware.pressure import memory_reading
from deepseek_r1.host.client import EngineClient
from deepseek_r1.memory.graphics import (
    ANY_DEVICE,
    LEAST_RATIO,
    GraphicsMeasured,
    allow_graphics,
    save_graphics,
    stopped_device,
)

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
    if measure_graphics:
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


_PROMPT_CHARACTERS = 2400  # about 500 tokens
_PROMPTS = ("The ship sails on. ", "Rivers run to the sea. ")  # no beginning is known before
_SAMPLING = SamplingSettings(temperature=0.0, max_tokens=48, end_repetition=False)
_ROUNDS = 2  # without and with a device in turns


def measure(path: Path, memory_budget: int, *, as_json: bool) -> None:
    """Measure each device with the model, keep the results, and print a table to send.

    Raises R1Error where the processor alone cannot run the model.
    """
    header = read_header(path)
    load = LoadSettings(memory_budget=memory_budget, swap_enabled=True)
    row, others = _measure_device(header, load, ANY_DEVICE)
    rows = [row, *(_measure_device(header, load, name)[0] for name in others)]
    machine = {"version": __version__, "system": platform.platform(), "cpu": cpu().name,
               "threads": cpu().threads_prefill, "model": header.name,
               "quantisation": header.quantisation}  # fmt: skip
    if as_json:
        console.result_json(machine | {"graphics": rows})
        return
    console.result(", ".join(map(str, machine.values())))
    for row in rows:
        console.result(f"{row['device']}, {row['driver'] or '–'}: {row['verdict']}")
        for title, kind in ((tr("reading"), "read"), (tr("writing"), "write")):
            text = tr(
                "{what}: processor {cpu:.1f} tokens/s, with graphics {graphics:.1f}",
                what=title,
                cpu=row[f"cpu_{kind}"],
                graphics=row[kind],
            )
            console.result(f"    {text} (x {row[kind] / (row[f'cpu_{kind}'] or 1):.2f})")


def _measure_device(
    header: ModelHeader, load: LoadSettings, name: str
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Returns the row of a device, and the names of others."""
    allow_graphics()  # who measures asks for it
    use, unaided, aided, verdict = GraphicsUse(device=name), (0.0, 0.0), (0.0, 0.0), ""
    for _ in range(_ROUNDS):
        unaided = _run(header.path, load, GRAPHICS_OFF, unaided)[1]
        try:
            use, aided = _run(header.path, load, name, aided)
        except R1Error as error:
            verdict = str(error)
        else:
            verdict = tr("it gave wrong results, or its driver failed") if stopped_device() else ""
        if verdict:
            break
    row = {"device": use.device, "driver": use.driver, "cpu_read": unaided[0], "read": aided[0],
           "cpu_write": unaided[1], "write": aided[1]}  # fmt: skip
    if not verdict:
        measured = GraphicsMeasured.model_validate(row | {"driver_mib": use.driver_mib})
        save_graphics(header, measured)
        slow = tr("not used: prompts are not read {n} times as fast", n=LEAST_RATIO)
        verdict = tr("used from now on") if measured.kept else slow
    return row | {"verdict": verdict}, use.others


def _run(
    path: Path, load: LoadSettings, graphics: str, best: tuple[float, float]
) -> tuple[GraphicsUse, tuple[float, float]]:
    """Load the model; returns its device, and the best tokens a second of reading and writing."""
    read, write = best
    with EngineClient() as engine:
        settings = load.model_copy(update={"graphics": graphics})
        loaded = engine.load(path, settings, window_mib=o.COMMAND_LINE_MIB)
        for sentence in _PROMPTS:
            text = sentence * (_PROMPT_CHARACTERS // len(sentence))
            for event in engine.generate(RawPrompt(text=text), _SAMPLING):
                if isinstance(event, GenerationFinished):
                    read = max(read, event.stats.prefill_tok_s)
                    write = max(write, event.stats.decode_tok_s)
    return loaded.facts.graphics, (read, write)
