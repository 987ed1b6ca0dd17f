"""Measures whether a graphics processor reads prompts faster: `doctor --measure-graphics`.

Each run is an ordinary load in the engine's process, whose watch ends it where a driver hangs.
"""

import platform
from pathlib import Path
from typing import Any

from deepseek_r1 import __version__
from deepseek_r1.cli import console
from deepseek_r1.cli import options as o
from deepseek_r1.core.errors import R1Error
from deepseek_r1.core.events import GenerationFinished, GraphicsUse
from deepseek_r1.core.i18n import tr
from deepseek_r1.core.messages import RawPrompt
from deepseek_r1.core.settings import GRAPHICS_OFF, LoadSettings, SamplingSettings
from deepseek_r1.formats.gguf import ModelHeader, read_header
from deepseek_r1.hardware import cpu
from deepseek_r1.host.client import EngineClient
from deepseek_r1.memory.graphics import (
    ANY_DEVICE,
    LEAST_RATIO,
    GraphicsMeasured,
    allow_graphics,
    save_graphics,
    stopped_device,
)

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
